"""The circuit breaker: a state machine without I/O. Times in seconds on a monotonic clock.

closed → open (failures in a row, or one `Blocked`) → half-open (one event may come) → probing (it is out) → closed or
open again, twice as long.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from eventbus.department.recovery import BreakerSignal

State = Literal["closed", "open", "half-open", "probing"]
Cause = Literal["failure", "permanent", "blocked"]


@dataclass(frozen=True, slots=True)
class Limits:
    """When the breaker opens, and how long it stays so."""

    failures: int = 5
    permanents: int = 20
    open_s: float = 5.0
    open_max_s: float = 60.0


class Breaker:
    """What the last outcomes say about the target."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failures = 0
        self._permanents = 0
        self._open_s = limits.open_s
        self.state: State = "closed"
        self.target_answers = False
        """Whether the target was heard since it was last given up, or since the start: a process that has just been
        started does not know that the target has been away for a day."""
        self.cause: Cause | None = None
        self.reason: str | None = None
        self.opens_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether events flow."""
        return self.state == "closed"

    def elapsed(self) -> bool:
        """Go from open to half-open when its time is over. Returns whether the state changed."""
        if self.state != "open" or self._clock() < self.opens_until:
            return False
        self.state = "half-open"
        return True

    def probe_started(self) -> None:
        """An event goes to the handler while half-open."""
        if self.state == "half-open":
            self.state = "probing"

    def probe_lost(self) -> None:
        """The probe's connection broke, or its event never reached the target: another one may come."""
        if self.state == "probing":
            self.state = "half-open"

    def learn(
        self, signal: BreakerSignal, reason: str | None, *, probe: bool, retry_after_s: float | None = None
    ) -> bool:
        """Take in a handler's outcome. Returns whether the state changed.

        Args:
            signal: what the decision on it says.
            reason: shown while the breaker is open.
            probe: whether this was the probe; an older worker's outcome does not close an open breaker.
            retry_after_s: what the target asked for.
        """
        before = self.state
        match signal:
            case "success":
                self.target_answers = True
                self._failures = self._permanents = 0
                if probe:
                    self._close()
            case "failure":
                self._failures += 1
                self._permanents = 0
                if probe or self._failures >= self._limits.failures:
                    self._open("failure", reason)
            case "blocked":
                self._open("blocked", reason)
            case "permanent":
                self._permanent(reason, probe)
            case "neutral":
                if probe:  # it told nothing: another one may go, after a pause
                    self.state = "open"
                    self.opens_until = self._clock() + (retry_after_s or self._limits.open_s)
        return self.state != before

    def _permanent(self, reason: str | None, probe: bool) -> None:
        self.target_answers = True
        self._failures = 0
        self._permanents += 1
        if probe and self.cause != "permanent":
            self._close()  # the target answered: what opened the breaker is over
        elif probe or self._permanents >= self._limits.permanents:
            self._open("permanent", reason)

    def _open(self, cause: Cause, reason: str | None) -> None:
        if self.state == "open":
            return
        again = self.state in ("half-open", "probing")
        self._open_s = min(self._open_s * 2, self._limits.open_max_s) if again else self._limits.open_s
        self.state, self.cause, self.reason = "open", cause, reason
        self.target_answers = cause == "permanent"
        self.opens_until = self._clock() + self._open_s

    def _close(self) -> None:
        self.state, self.cause, self.reason = "closed", None, None
        self._failures = self._permanents = 0
        self._open_s = self._limits.open_s
