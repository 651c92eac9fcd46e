"""The time from SIGTERM until the gateway takes no more connections: a load balancer finds out and looks away."""

import time

CLOSE_HEADER = (b"connection", b"close")
"""On every answer meanwhile, so that kept connections end between two requests, not under one."""


class Leaving:
    """Whether the gateway is about to end.

    Args:
        unready_s: how long it says so before it takes no more connections, seconds.
    """

    def __init__(self, unready_s: float) -> None:
        self._unready_s = unready_s
        self._until: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether `/readyz` says no."""
        return self._until is not None

    @property
    def has_ended(self) -> bool:
        """Whether it is time to take no more connections."""
        return self._until is not None and time.monotonic() >= self._until

    def begin(self) -> bool:
        """Begin to leave. False where that is no use: it has begun, or takes no time."""
        if self._until is not None or self._unready_s <= 0:
            return False
        self._until = time.monotonic() + self._unready_s
        return True
