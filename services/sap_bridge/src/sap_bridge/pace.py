"""How fast SAP may be called: a pause that it asked for, and a rate that we keep to. Shared by all workers."""

import threading
import time

BACK_OFF_FIRST_S = 1.0
BACK_OFF_MAX_S = 60.0


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
    """Lets through that many calls a second, evenly; 0: no limit."""

    def __init__(self, per_second: float) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, until: float) -> bool:
        """Sleep until it is our turn; False at once if that comes after `until` (of `time.monotonic()`)."""
        if not self._interval_s:
            return True
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            if turn > until:
                return False
            self._next = turn + self._interval_s
        time.sleep(turn - now)
        return True
