"""Where a claim begins to look, so that it need not walk over all rows that were sent long ago.

A deleted row stays in the table and its index until nobody can see it any more: while a foreign transaction is open
(a backup, a forgotten session), no vacuum removes any, and whoever begins at the oldest row visits them all.
"""

import time
from collections.abc import Callable

MARGIN = 10_000
"""Ids become visible out of order: so many below the oldest one that was free are looked at each time."""
SWEEP_S = 1.0
"""How often a claim begins at the very start: for what became visible late, or was held by a relay that has died."""


class Floor:
    """The id from which on a claim looks. Its methods are called by one thread at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._id = 0
        self._swept_at = float("-inf")

    def take(self) -> int:
        """The rows with a larger id are to be looked at; 0 when a sweep over all of them is due."""
        now = self._clock()
        if now - self._swept_at < SWEEP_S:
            return self._id
        self._swept_at = now
        return 0

    def found(self, oldest: int) -> None:
        """The oldest row that was free has that id."""
        self._id = max(0, oldest - MARGIN)
