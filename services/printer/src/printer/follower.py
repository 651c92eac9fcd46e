"""Follows accepted slips until they are on paper, and reports it. A slow printer holds no worker meanwhile."""

import time
from datetime import timedelta
from typing import Literal

from eventbus.department.ledger import Entry, Key, LeaseLostError
from eventbus.department.owner import new_owner
from eventbus.logs import get_logger

from printer import _metrics as metrics
from printer.classification import Fate, JobState, PrinterError
from printer.desk import Desk
from printer.ipp_client import IppPrinter, Job
from printer.records import ACCEPTED, ATTENTION, IPP_LEASE_S, PRINTED, Records
from printer.submission import NotSettledError, Submission, VanishedError, note_of

FOLLOWED_MAX = 1000
POLL_MAX_S = 30.0
STUCK_S = 60.0
"""A slip that is not printed so long after it was accepted is reported once as `waiting`."""
PRINTS_MAX = 3
"""After so many aborted prints a person is asked."""

log = get_logger(__name__)


class Follower:
    """Asks one printer what became of its jobs: every round at first, more seldom as a job grows older."""

    def __init__(self, printer: IppPrinter, media: str) -> None:
        self._printer = printer
        self._media = media
        self._next_look: dict[Key, float] = {}
        self._answers = True

    def follow(self, desk: Desk) -> None:
        """One round over the accepted slips, and over second copies, which no event will come back for."""
        records = Records(desk.transactions, IPP_LEASE_S)
        entries = records.followed(FOLLOWED_MAX)
        metrics.OPEN_JOBS.set(len(entries))
        known = {entry.key for entry in entries}
        self._next_look = {key: at for key, at in self._next_look.items() if key in known}
        for entry in entries:
            if time.monotonic() < self._next_look.get(entry.key, 0.0):
                continue
            try:
                self._look(entry, desk, records)
            except PrinterError as error:
                self._unreachable(error, entries, desk, records)
                return  # the others would meet the same; the next round asks again
            except LeaseLostError:
                continue  # another replica's follower has it
            self._look_later(entry, records)
            self._answers = True

    def _unreachable(self, error: PrinterError, entries: list[Entry], desk: Desk, records: Records) -> None:
        if self._answers:
            log.warning("cannot ask the printer", reason=error.reason, slips=len(entries))
        self._answers = False
        for entry in entries:
            self._report_stuck(entry, "the printer does not answer", desk, records)

    def _look(self, entry: Entry, desk: Desk, records: Records) -> None:
        submission = Submission(self._printer, self._media, desk.slips, records)
        if entry.state != ACCEPTED:
            self._submit_copy(entry, submission, desk, records)
            return
        job = submission.current_job(entry)
        if job is not None and not job.is_finished:
            if self._is_stuck(entry, records):
                self._report_stuck(entry, f"on the printer: {self._printer.status()}", desk, records)
            return
        owner = new_owner()
        if (taken := records.claim_again(entry, owner)) is None:
            return
        try:
            self._close(taken, job, desk, records)
        finally:
            records.release(entry.key, owner)  # the report was not confirmed: the next round tries again

    def _close(self, entry: Entry, job: Job | None, desk: Desk, records: Records) -> None:
        """Report how the job ended, then close its row: a crash in between reports the same again."""
        if job is None:
            report_vanished(entry, desk, records)
        elif job.state == JobState.COMPLETED:
            _report(entry, desk, "done", note_of(entry.copy))
            records.advance(entry, PRINTED, release=True)
            metrics.SLIPS.labels("printed").inc()
            log.info("printed", order=entry.order_number, event_id=entry.cause_id, reference=entry.reference)
        elif job.state == JobState.ABORTED and entry.copy < PRINTS_MAX:
            records.next_copy(entry)
            metrics.SLIPS.labels("aborted").inc()
            log.warning("aborted by the printer: printing again", order=entry.order_number, copy=entry.copy)
        else:
            end = "cancelled at the printer" if job.state == JobState.CANCELED else "aborted by the printer"
            _give_up(entry, f"{entry.reference} was {end}", desk, records)

    def _submit_copy(self, entry: Entry, submission: Submission, desk: Desk, records: Records) -> None:
        owner = new_owner()
        if (taken := records.claim_again(entry, owner)) is None:
            return
        try:
            submission.submit(taken)
        except NotSettledError:
            return
        except VanishedError:
            report_vanished(taken, desk, records)
        except PrinterError as error:
            if error.fate is not Fate.PERMANENT:
                raise
            records.release(entry.key, owner)
            if (refused := records.claim_again(entry, owner)) is not None:
                _give_up(refused, f"the printer refuses the slip: {error.reason}", desk, records)
        finally:
            records.release(entry.key, owner)

    def _is_stuck(self, entry: Entry, records: Records) -> bool:
        assert entry.last_sent_at is not None, "an accepted slip has been sent"
        return records.clock() - entry.last_sent_at > timedelta(seconds=STUCK_S) and not entry.extra.get("reported")

    def _report_stuck(self, entry: Entry, detail: str, desk: Desk, records: Records) -> None:
        if entry.state != ACCEPTED or not self._is_stuck(entry, records):
            return
        owner = new_owner()
        if (taken := records.claim_again(entry, owner)) is None:
            return
        try:
            _report(taken, desk, "waiting", detail)
            records.advance(taken, ACCEPTED, release=True, extra={**taken.extra, "reported": True})
        finally:
            records.release(entry.key, owner)

    def _look_later(self, entry: Entry, records: Records) -> None:
        sent_at = entry.last_sent_at or entry.created_at
        age_s = (records.clock() - sent_at).total_seconds()
        self._next_look[entry.key] = time.monotonic() + min(POLL_MAX_S, age_s / 10)


def report_vanished(entry: Entry, desk: Desk, records: Records) -> Entry:
    """Report that the printer lost the job: printing it again would be wrong for one in nine, as was tried."""
    return _give_up(entry, f"the printer does not know {entry.reference} any more: look in the tray", desk, records)


def _give_up(entry: Entry, detail: str, desk: Desk, records: Records) -> Entry:
    _report(entry, desk, "attention", detail)
    closed = records.advance(entry, ATTENTION, release=True, detail=detail)
    metrics.SLIPS.labels("attention").inc()
    log.warning("a person has to look", order=entry.order_number, event_id=entry.cause_id, reason=detail)
    return closed


def _report(
    entry: Entry, desk: Desk, state: Literal["done", "attention", "waiting"], detail: str | None = None
) -> None:
    desk.results.publish(
        order_number=entry.order_number,
        cause_id=entry.cause_id,
        cause_type=entry.event_type,
        state=state,
        reference=entry.reference,
        detail=detail,
    )
