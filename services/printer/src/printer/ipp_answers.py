"""What a printer tells of a job, and of itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from printer.classification import (
    PRINTER_STATES,
    PRINTER_STOPPED,
    Fate,
    JobState,
    PrinterError,
    in_a_line,
    is_in_trouble,
)
from printer.ipp_message import Group

JOB_ATTRIBUTES = (
    "job-id",
    "job-name",
    "job-originating-user-name",
    "job-state",
    "job-state-reasons",
    "job-hold-until",
    "number-of-documents",
    "job-k-octets",
    "time-at-processing",
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the printer describes it."""

    id: int
    name: str | None
    """None: the printer does not say (CUPS leaves names out of long lists, and hides those of other users)."""
    user: str | None
    """Who sent it; None: the printer does not say."""
    state: int
    reasons: tuple[str, ...]
    hold_until: str | None
    documents: int | None
    """None: the printer does not count them."""
    k_octets: int | None
    """Size of its documents, see `ipp_document`; None: the printer does not say."""
    started_at: int | None
    """When it was last begun, on the printer's clock; None: not yet, or the printer does not say."""

    @property
    def is_empty(self) -> bool:
        """Whether it still has no document."""
        if self.documents is not None:
            return self.documents == 0
        waits = self.state in (JobState.PENDING, JobState.HELD)
        return waits and any(reason in ("job-incoming", "job-data-insufficient") for reason in self.reasons)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in (JobState.CANCELED, JobState.ABORTED, JobState.COMPLETED)

    @property
    def is_left_held(self) -> bool:
        """Whether it is whole and held for no reason, and for ever: a kill of CUPS between two writes leaves it so."""
        has_no_reason = self.hold_until in (None, "no-hold") and set(self.reasons) <= {"none"}
        return self.state == JobState.HELD and bool(self.documents) and has_no_reason


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """How the printer is."""

    state: int
    reasons: tuple[str, ...]
    up_time_s: int | None = None
    """Since the printer was started; None: it does not say."""

    @property
    def is_stopped(self) -> bool:
        """Whether it prints nothing, by its own word."""
        return self.state == PRINTER_STOPPED

    @property
    def in_trouble(self) -> bool:
        """Whether it waits for a person."""
        return is_in_trouble(self.state, self.reasons)

    def __str__(self) -> str:
        reasons = ", ".join(reason for reason in self.reasons if reason != "none")
        return in_a_line(reasons) or PRINTER_STATES.get(self.state, "?")


def job_of(group: Group) -> Job:
    """The job that the group describes. Raises PrinterError where it has no number or state."""
    return Job(
        id=integer_of(group, "job-id"),
        name=_text(group, "job-name"),
        user=_text(group, "job-originating-user-name"),
        state=integer_of(group, "job-state"),
        reasons=texts_of(group, "job-state-reasons"),
        hold_until=_text(group, "job-hold-until"),
        documents=number_of(group, "number-of-documents"),
        k_octets=number_of(group, "job-k-octets"),
        started_at=number_of(group, "time-at-processing"),
    )


def integer_of(group: Group, name: str) -> int:
    """The number of that name. Raises PrinterError where there is none."""
    if (value := number_of(group, name)) is None:
        raise PrinterError(Fate.UNKNOWN, f"the answer has no {name}")
    return value


def number_of(group: Group, name: str) -> int | None:
    """The number of that name, or None."""
    values: Sequence[object] = group.get(name, ())
    return values[0] if values and isinstance(values[0], int) else None


def _text(group: Group, name: str) -> str | None:
    texts = texts_of(group, name)
    return texts[0] if texts else None


def texts_of(group: Group, name: str) -> tuple[str, ...]:
    """All texts of that name."""
    return tuple(value for value in group.get(name, ()) if isinstance(value, str))
