"""Takes orders over HTTP and publishes their events."""
