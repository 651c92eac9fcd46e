"""Waiting for a condition with a deadline, in place of fixed sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

POLL_S = 0.02


def wait_until(condition: Callable[[], Value], deadline_s: float = 10.0, what: str = "") -> Value:
    """What `condition()` returns as soon as that is true.

    Args:
        condition: asked every 20 ms.
        deadline_s: generous; a passing test never waits that long.
        what: for the message: what was waited for.

    Raises:
        AssertionError: the deadline passed. The message names the last value.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what or condition!r}, last value {value!r}")
        time.sleep(POLL_S)
