"""What a handler returns or raises. Anything else is a bug."""

from dataclasses import dataclass

from eventbus.contract.order import REFERENCE_CHARACTERS_MAX


@dataclass(frozen=True, slots=True)
class Done:
    """The work is done and committed. Reported as `done`, then the event is acknowledged."""

    reference: str | None = None
    """What the target calls it: SAP sales order, print job. No personal data."""
    detail: str | None = None
    """For people. No personal data."""

    def __post_init__(self) -> None:
        _check_reference(self.reference)
        if self.detail is not None and not isinstance(self.detail, str):
            raise TypeError(f"detail: expected text or None, got {type(self.detail).__name__}")


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: the event comes back after about `seconds` (±20 %). No attempt is counted, nothing is reported.

    For a lease that another worker holds, a settle time, a print job under way.
    """

    seconds: float
    reason: str

    def __post_init__(self) -> None:
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float) or not self.seconds >= 0:
            raise TypeError(f"seconds: expected a number from 0, got {self.seconds!r}")
        if not isinstance(self.reason, str):
            raise TypeError(f"reason: expected text, got {type(self.reason).__name__}")


@dataclass(frozen=True, slots=True)
class InHand:
    """The effect is under way and in the ledger. Acknowledged without a result: the department reports it later."""

    reference: str | None = None

    def __post_init__(self) -> None:
        _check_reference(self.reference)


def _check_reference(reference: object) -> None:
    if reference is not None and not isinstance(reference, str):
        raise TypeError(f"reference: expected text or None, got {type(reference).__name__}")
    if reference is not None and len(reference) > REFERENCE_CHARACTERS_MAX:
        raise ValueError(f"reference: expected at most {REFERENCE_CHARACTERS_MAX} characters, got {len(reference)}")


Outcome = Done | Later | InHand


class Verdict(Exception):  # noqa: N818 - a verdict on an event, not an error of ours
    """Base of what a handler raises on purpose. The reason is one line without personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = str(reason)


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
