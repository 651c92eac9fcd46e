"""How a slip ended: reported first, then its row is closed. A crash in between reports the same again."""

from enum import StrEnum
from typing import Literal

from eventbus.contract import Event, OrderCreated
from eventbus.department import Done, InHand, Outcome
from eventbus.department.ledger import Entry
from eventbus.logs import get_logger

from printer import _metrics as metrics
from printer.desk import Desk
from printer.records import ATTENTION, PRINTED, Records
from printer.submission import CUT, UPLOAD, note_of, printer_changed, vanished

PRINTS_MAX = 3
"""After so many aborted prints a person is asked."""

END = "end"
"""In `extra` of an accepted slip: its `End`. Committed as soon as it is seen: a printer forgets finished jobs within a
minute, and the broker may be away for longer."""

log = get_logger(__name__)


class End(StrEnum):
    """What became of a job."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    CANCELED = "canceled"
    VANISHED = "vanished"
    ELSEWHERE = "elsewhere"
    """Another printer than ours has it: the settings were changed."""


def close(entry: Entry, desk: Desk, records: Records) -> None:
    """Report the end that the row tells, and close the row. Raises whatever `Reports.publish` raises."""
    match End(entry.extra[END]):
        case End.COMPLETED if entry.extra.get(UPLOAD) == CUT:
            give_up(entry, f"{entry.reference} was printed, but its upload broke off: check the paper", desk, records)
        case End.COMPLETED:
            report(entry, desk, "done", note_of(entry.copy))
            records.advance(entry, PRINTED, release=True)
            metrics.SLIPS.labels("printed").inc()
            log.info("printed", order=entry.order_number, event_id=entry.cause_id, reference=entry.reference)
        case End.ABORTED if entry.copy < PRINTS_MAX:
            records.next_copy(entry)
            metrics.SLIPS.labels("aborted").inc()
            log.warning("aborted by the printer: printing again", order=entry.order_number, copy=entry.copy)
        case End.ABORTED:
            give_up(entry, f"{entry.reference} was aborted by the printer", desk, records)
        case End.CANCELED:
            give_up(entry, f"{entry.reference} was cancelled at the printer", desk, records)
        case End.VANISHED:
            give_up(entry, vanished(entry), desk, records)
        case End.ELSEWHERE:
            give_up(entry, printer_changed(entry), desk, records)


def settled_outcome(entry: Entry, event: Event[OrderCreated], desk: Desk) -> Outcome:
    """What a redelivered event is told whose slip is accepted or closed. What was reported is reported again."""
    if entry.state == PRINTED:
        return Done(entry.reference, note_of(entry.copy))
    if entry.state == ATTENTION:
        desk.results.publish(
            order_number=entry.order_number,
            cause_id=event.id,
            cause_type=event.type,
            state="attention",
            reference=entry.reference,
            detail=entry.detail,
        )
    return InHand(entry.reference)


def give_up(entry: Entry, detail: str, desk: Desk, records: Records) -> Entry:
    """Report that a person has to look, and close the row. Raises whatever `Reports.publish` raises."""
    report(entry, desk, "attention", detail)
    closed = records.advance(entry, ATTENTION, release=True, detail=detail)
    metrics.SLIPS.labels("attention").inc()
    log.warning("a person has to look", order=entry.order_number, event_id=entry.cause_id, reason=detail)
    return closed


def report(entry: Entry, desk: Desk, state: Literal["done", "attention", "waiting"], detail: str | None = None) -> None:
    """Publish a result. Raises whatever `Reports.publish` raises."""
    desk.results.publish(
        order_number=entry.order_number,
        cause_id=entry.cause_id,
        cause_type=entry.event_type,
        state=state,
        reference=entry.reference,
        detail=detail,
    )
