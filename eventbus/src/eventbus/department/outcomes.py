"""What a handler returns or raises. Anything else is a bug."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """The work is done and committed. Reported as `done`, then the event is acknowledged."""

    reference: str | None = None
    """What the target calls it: SAP sales order, print job. No personal data."""
    detail: str | None = None
    """For people. No personal data."""


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the event comes back after about `seconds` (±20 %). No attempt is counted, nothing is reported.

    For a lease that another worker holds, a settle time, a print job under way.
    """

    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class InHand:
    """The effect is under way and in the ledger. Acknowledged without a result: the department reports it later."""

    reference: str | None = None


Outcome = Done | Later | InHand


class Verdict(Exception):  # noqa: N818 - a verdict on an event, not an error of ours
    """Base of what a handler raises on purpose. The reason is one line without personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transient(Verdict):
    """The target failed; the same event may succeed later. Retried with back-off up to `retry_for_s`, then parked.

    Args:
        reason: one line, no personal data.
        retry_after: seconds that the target asked for. Then the delay is that, and the breaker does not count it.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Blocked(Verdict):
    """The target refuses everybody (login, configuration, printer stopped): the department pauses, parks nothing."""


class Permanent(Verdict):
    """This event can never succeed. Parked at once, for a person."""
