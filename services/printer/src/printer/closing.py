"""How a slip ended: reported first, then its row is closed. A crash in between reports the same again."""

from dataclasses import replace
from enum import StrEnum
from typing import Literal

from eventbus.contract import Event, OrderCreated
from eventbus.department import Done, InHand, Outcome
from eventbus.department.ledger import DETAIL_CHARACTERS_MAX, Entry
from eventbus.logs import get_logger

from printer import _metrics as metrics
from printer.copies import PRINTS_MAX, note_after_lost, note_of, tries
from printer.desk import Desk
from printer.records import ATTENTION, IPP_LEASE_S, LOST, PRINTED, Records
from printer.submission import CUT, UPLOAD, printer_changed, vanished

END = "end"
"""In `extra` of an accepted slip: its `End`. Committed as soon as it is seen: a printer forgets finished jobs within a
minute, and the broker may be away for longer."""

REPRINTED = "reprinted"

log = get_logger(__name__)


class End(StrEnum):
    """What became of a job."""

    COMPLETED = "completed"
    ABORTED = "aborted"
    CANCELED = "canceled"
    VANISHED = "vanished"
    ELSEWHERE = "elsewhere"
    """Another printer than ours has it: the settings were changed."""
    DOUBLED = "doubled"
    """Completed, with more than one document: CUPS adds a second one to a job that has one."""
    STARTED_TWICE = "started twice"
    """Completed, and begun again in between: after a crash amid printing CUPS prints a job once more."""
    FORGOTTEN = "forgotten"
    """It was seen printing and is gone, of a printer that drops its finished jobs."""


def close(entry: Entry, desk: Desk, records: Records, *, repeats_lost: bool = False) -> None:
    """Report the end that the row tells, and close the row. Raises whatever `Reports.publish` raises.

    `repeats_lost`: see `lose`.
    """
    reprint = records.reprint_of(entry)
    match End(entry.extra[END]):
        case End.COMPLETED if entry.extra.get(UPLOAD) == CUT:
            give_up(entry, f"{entry.reference} was printed, but its upload broke off: check the paper", desk, records)
        case End.COMPLETED:
            close_printed(entry, desk, records)
        case End.DOUBLED:
            give_up(entry, f"possible duplicate: {entry.reference} was printed with two documents", desk, records)
        case End.STARTED_TWICE:
            detail = f"possible duplicate: the printer began {entry.reference} twice"
            close_printed(replace(entry, detail=detail), desk, records)
        case End.FORGOTTEN:
            detail = f"{entry.reference} was printing, and the printer dropped it"
            close_printed(replace(entry, detail=detail), desk, records)
        case End.ABORTED if tries(entry.copy, reprint) < PRINTS_MAX:
            records.next_copy(entry, note=note_after_lost(entry.copy + 1) if entry.detail else None)
            metrics.SLIPS.labels("aborted").inc()
            log.warning("aborted by the printer: printing again", order=entry.order_number, copy=entry.copy)
        case End.ABORTED:
            give_up(entry, f"{entry.reference} was aborted by the printer", desk, records)
        case End.CANCELED:
            give_up(entry, f"{entry.reference} was cancelled at the printer", desk, records)
        case End.VANISHED:
            lose(entry, vanished(entry), desk, records, repeats=repeats_lost)
        case End.ELSEWHERE:
            give_up(entry, printer_changed(entry), desk, records)


def close_printed(entry: Entry, desk: Desk, records: Records, reference: str | None = None) -> None:
    """Report that the slip is on paper, and close the row. Raises whatever `Reports.publish` raises.

    `reference`: what the paper is called where the row does not say so yet.
    """
    entry = replace(entry, reference=reference or entry.reference)
    reprint = records.reprint_of(entry)
    detail = entry.detail or note_of(entry.copy, reprint) or (REPRINTED if reprint else None)
    report(entry, desk, "done", detail)
    records.advance(entry, PRINTED, release=True, reference=entry.reference, detail=entry.detail)
    metrics.SLIPS.labels("reprinted" if reprint else "printed").inc()
    log.info("printed", order=entry.order_number, event_id=entry.cause_id, reference=entry.reference)


def settled_outcome(entry: Entry, event: Event[OrderCreated], desk: Desk) -> Outcome:
    """What a redelivered event is told whose slip is accepted or closed. What was reported is reported again."""
    if entry.state == PRINTED:
        return Done(entry.reference, entry.detail or note_of(entry.copy))
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
    detail = detail[:DETAIL_CHARACTERS_MAX]
    report(entry, desk, "attention", detail)
    closed = records.advance(entry, ATTENTION, release=True, detail=detail)
    metrics.SLIPS.labels("reprint_failed" if records.reprint_of(entry) else "attention").inc()
    log.warning("a person has to look", order=entry.order_number, event_id=entry.cause_id, reason=detail)
    return closed


def lose(entry: Entry, detail: str, desk: Desk, records: Records, *, repeats: bool) -> None:
    """Close the row of a slip that may be on paper or not: a person is asked, or where `repeats` a copy is printed that
    says so. Raises whatever `Reports.publish` raises."""
    if not repeats or tries(entry.copy, records.reprint_of(entry)) >= PRINTS_MAX:
        give_up(entry, detail, desk, records)
        return
    records.next_copy(entry, state=LOST, note=note_after_lost(entry.copy + 1))
    metrics.SLIPS.labels("lost").inc()
    log.warning("lost by the printer: printing a marked copy", order=entry.order_number, reason=detail)


def report(entry: Entry, desk: Desk, state: Literal["done", "attention", "waiting"], detail: str | None = None) -> None:
    """Publish a result. Raises whatever `Reports.publish` raises.

    A reprint is not the order's business: what became of it stands in log, metrics and `python -m printer status`. Only
    the first paper of an order that waited for a person is `done`.
    """
    records = Records(desk.transactions, IPP_LEASE_S)
    if records.reprint_of(entry) and (state != "done" or records.was_printed_before(entry)):
        if state == "waiting":
            log.warning("a reprint is stuck", order=entry.order_number, reference=entry.reference, reason=detail)
        return
    desk.results.publish(
        order_number=entry.order_number,
        cause_id=entry.cause_id,
        cause_type=entry.event_type,
        state=state,
        reference=entry.reference,
        detail=detail,
    )
