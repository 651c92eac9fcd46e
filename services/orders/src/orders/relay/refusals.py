"""Which routing keys the broker refuses at the moment.

A queue that is full, or a topology without a queue, refuses a routing key, not one message: all rows of the key stay
where they are for a second or more while the others flow. Then a few rows go ahead; only when all of them are
confirmed do the rest follow. One full queue gives its neighbours a copy with each attempt: seen, 15,000 copies of
2,000 events from retrying every row.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

HOLD_MIN_S = 1.0
HOLD_MAX_S = 16.0


@dataclass(slots=True)
class _Hold:
    until: float
    seconds: float
    probing: bool = False


class Refusals:
    """Thread-safe. Times are of the clock given, seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._holds: dict[str, _Hold] = {}
        self._lock = threading.Lock()

    def refused(self, key: str, *, others_confirmed: bool) -> None:
        """Leave the key's rows alone: a second, twice as long each time until some of its rows are confirmed again."""
        with self._lock:
            last = self._holds.get(key)
            if last is not None and not last.probing:
                return  # sent before the hold began
            seconds = HOLD_MIN_S if last is None or others_confirmed else min(last.seconds * 2, HOLD_MAX_S)
            self._holds[key] = _Hold(self._clock() + seconds, seconds)

    def accepted(self, key: str) -> None:
        """A probe of the key was confirmed throughout: its rows flow again."""
        with self._lock:
            self._holds.pop(key, None)

    def unknown(self, key: str) -> None:
        """A probe of the key ended without an answer: probe again."""
        with self._lock:
            if hold := self._holds.get(key):
                hold.probing = False

    def held(self) -> tuple[str, ...]:
        """The keys that claims must leave out, those being probed as well."""
        with self._lock:
            return tuple(self._holds)

    def take_due(self) -> str | None:
        """A key whose time has come, now being probed; None when there is none."""
        now = self._clock()
        with self._lock:
            for key, hold in self._holds.items():
                if not hold.probing and hold.until <= now:
                    hold.probing = True
                    return key
        return None

    def due_in(self) -> float | None:
        """Seconds until the next key may be probed, or None."""
        with self._lock:
            waiting = [hold.until for hold in self._holds.values() if not hold.probing]
        return max(0.0, min(waiting) - self._clock()) if waiting else None
