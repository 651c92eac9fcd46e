"""Why a slip is printed more than once: the printer gave up, or a person asked."""

from dataclasses import dataclass
from datetime import datetime

PRINTS_MAX = 3
"""After so many aborted prints a person is asked."""


@dataclass(frozen=True, slots=True)
class Reprint:
    """A copy that a person asked for."""

    copy: int
    """The first one printed for it; more follow where the printer aborts."""
    reason: str
    asked_at: datetime


def tries(copy: int, reprint: Reprint | None) -> int:
    """Which attempt the copy is, from 1: at the order's own slip, or at that reprint."""
    return copy if reprint is None else copy - reprint.copy + 1


def note_of(copy: int, reprint: Reprint | None = None) -> str | None:
    """What stands on a repeated slip, so that two papers of one order are not both packed."""
    match tries(copy, reprint):
        case 1:
            return None
        case 2 if reprint is None:
            return "2nd print: first was aborted"
        case _:
            return f"Print no. {copy}: earlier ones were aborted"


def note_after_lost(copy: int) -> str:
    """What stands on a copy of a slip that the printer lost, which may be on paper after all."""
    return f"Print no. {copy}: an earlier one may lie in the tray"
