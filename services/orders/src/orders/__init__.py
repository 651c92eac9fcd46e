"""Takes orders over HTTP, publishes their events, follows their progress."""

__version__ = "0.1.0"
