"""How fast SAP may be called: a pause that it asked for, and a rate that we keep to. Shared by all workers."""

import threading
import time

BACK_OFF_FIRST_S = 1.0
BACK_OFF_MAX_S = 60.0
WAIT_S_MAX = 1.0
"""So long a worker is held for its turn at most."""
AWAY_SHARE = 0.5
"""Who is sent away comes back this much closer together than turns are: events return too early or late by a fifth,
and a turn that nobody takes is lost."""


class Pause:
    """Holds everybody back after SAP said so. Each time in a row without a success the pause at least doubles."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._in_a_row = 0

    def extend(self, retry_after_s: float | None) -> float:
        """Seconds of the pause that begins now: what SAP asked for, or our back-off if that is longer."""
        with self._lock:
            now = time.monotonic()
            if now >= self._until:  # calls that were under way together count once
                self._in_a_row += 1
            back_off = min(BACK_OFF_FIRST_S * 2 ** (self._in_a_row - 1), BACK_OFF_MAX_S)
            seconds = max(retry_after_s or 0.0, back_off)
            self._until = max(self._until, now + seconds)
            return self._until - now

    def succeeded(self) -> None:
        """SAP worked: the next back-off is a short one."""
        with self._lock:
            self._in_a_row = 0

    def left_s(self) -> float:
        """Seconds until SAP may be called again; 0: now."""
        with self._lock:
            return max(0.0, self._until - time.monotonic())


class Pace:
    """Lets through that many calls a second, evenly; 0: no limit.

    A worker that would have to wait for longer than `WAIT_S_MAX` before it has begun anything is sent away: `away_s`.
    Calls that follow from what was begun (login, look-up) wait: `wait`.

    Args:
        per_second: calls.
        calls_max: calls under way at a time.
    """

    def __init__(self, per_second: float, calls_max: int) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        self._calls_max = calls_max
        self._lock = threading.Lock()
        self._next = 0.0
        self._away = 0.0
        self._admitted = 0

    def away_s(self) -> float:
        """Seconds after which to ask again, each time others than before; 0: begin, a call has its turn now."""
        if not self._interval_s:
            return 0.0
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            if turn - now > WAIT_S_MAX:
                back = max(self._away, turn)
                self._away = back + self._interval_s * AWAY_SHARE
                return back - now
            self._next = turn + self._interval_s
            # who began and then had nothing to call leaves a turn to others; more than this many would be a burst
            self._admitted = min(self._admitted + 1, self._calls_max)
        time.sleep(turn - now)
        return 0.0

    def wait(self, until: float) -> bool:
        """Sleep until it is our turn; False at once if that comes after `until` (of `time.monotonic()`)."""
        if not self._interval_s:
            return True
        with self._lock:
            if self._admitted:
                self._admitted -= 1
                return True
            now = time.monotonic()
            turn = max(now, self._next)
            if turn > until:
                return False
            self._next = turn + self._interval_s
        time.sleep(turn - now)
        return True
