"""When the shared topology is made again because the broker had no queue for events."""

import time
from collections.abc import Callable

import pika

BACK_OFF_MIN_S = 0.5
"""Shorter than a key's first hold, so that the first probe may ask again."""
BACK_OFF_MAX_S = 60.0


class Mending:
    """Belongs to the main thread. At once with the first event that comes back, then less and less often: a user who
    may not bind cannot mend anything, and the held keys go on asking."""

    def __init__(self, mend: Callable[[pika.URLParameters], None], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            mend: begins to make the topology again on that host, beside the link. `done` must follow.
            clock: seconds.
        """
        self._mend = mend
        self._clock = clock
        self._under_way = False
        self._not_before = float("-inf")
        self._back_off_s = BACK_OFF_MIN_S

    def on_return(self, host: pika.URLParameters) -> None:
        """The broker returned an event: no queue is bound for it."""
        now = self._clock()
        if self._under_way or now < self._not_before:
            return
        if now > self._not_before + BACK_OFF_MAX_S:  # all was well meanwhile: this is another fault
            self._back_off_s = BACK_OFF_MIN_S
        self._under_way = True
        self._mend(host)

    def done(self) -> None:
        """The attempt has ended, whatever came of it: the next probe of a held key tells."""
        self._under_way = False
        self._not_before = self._clock() + self._back_off_s
        self._back_off_s = min(self._back_off_s * 2, BACK_OFF_MAX_S)
