"""Follows accepted slips until they are on paper, and reports it. A slow printer holds no worker meanwhile."""

import time
from datetime import datetime, timedelta

from eventbus.department.ledger import Entry, Key, LeaseLostError
from eventbus.department.owner import new_owner, process_owner
from eventbus.logs import get_logger

from printer import _metrics as metrics
from printer.classification import Fate, JobState, PrinterError
from printer.closing import END, End, close, give_up, lose, report
from printer.desk import Desk
from printer.follower_lease import take_lead, tell_trouble
from printer.ipp_answers import Job
from printer.ipp_client import IppPrinter
from printer.job_end import end_of, seen_of
from printer.making import UnmadeSlipError
from printer.records import ACCEPTED, IPP_LEASE_S, Records
from printer.submission import CUT, REPORTED, SEEN_PRINTING, UPLOAD, NotSettledError, Submission, VanishedError

FOLLOWED_MAX = 1000
POLL_MAX_S = 30.0
UP_TIME_MAX_S = 10**9
"""More than that is no time since a start (CUPS tells seconds since 1970)."""
STUCK_S = 60.0
"""A slip that is not printed so long after it was accepted is reported once as `waiting`."""

log = get_logger(__name__)


class Follower:
    """Asks one printer what became of its jobs: every round at first, more seldom as a job grows older.

    Args:
        forgets_done: the printer drops finished jobs: one that was seen printing and is gone is done.
        repeats_lost: a slip that the printer lost is printed again, marked; otherwise a person is asked.
    """

    def __init__(
        self, printer: IppPrinter, media: str, *, forgets_done: bool = False, repeats_lost: bool = False
    ) -> None:
        self._printer = printer
        self._media = media
        self._forgets_done = forgets_done
        self._repeats_lost = repeats_lost
        self._owner = process_owner()
        self._next_look: dict[Key, float] = {}
        self._answers = True
        self._led = False
        self.trouble: str | None = None
        """Why the printer prints nothing, when slips wait for it and a person has to go there."""

    def follow(self, desk: Desk) -> None:
        """One round over the accepted slips, and over second copies, which no event will come back for.

        All are looked at, and what is seen is committed, before the first is reported: a broker that is away must not
        keep us from seeing how the others ended. Raises whatever `Reports.publish` raises.
        """
        records = Records(desk.transactions, IPP_LEASE_S)
        entries = records.followed(FOLLOWED_MAX)
        metrics.OPEN_JOBS.set(len(entries))
        if not self._leads(entries, desk, records):
            return
        known = {entry.key for entry in entries}
        self._next_look = {key: at for key, at in self._next_look.items() if key in known}
        stuck = self._look_at_all(entries, desk, records)
        entries = records.followed(FOLLOWED_MAX)
        self._see_trouble(entries, desk, records)
        for entry in entries:
            if END in entry.extra:
                self._close(entry, desk, records)
            elif entry.key in stuck:
                self._report_stuck(entry, stuck[entry.key], desk, records)

    def _leads(self, entries: list[Entry], desk: Desk, records: Records) -> bool:
        """Whether there is something to do that no other replica does."""
        if not entries:
            if self.trouble is not None:
                self._change_trouble(None, desk)
            return False
        lead = desk.transactions.run(lambda connection: take_lead(connection, self._owner, records.clock()))
        if not lead.is_ours or not self._led:
            self.trouble = lead.trouble
            metrics.TROUBLE.set(lead.trouble is not None)
        self._led = lead.is_ours
        return lead.is_ours

    def _see_trouble(self, entries: list[Entry], desk: Desk, records: Records) -> None:
        """Find out whether the printer waits for a person. A printer may print on with an empty tray or cartridge: what
        it says of those counts when a slip has waited for long."""
        sent_at = [e.last_sent_at for e in entries if e.state == ACCEPTED and END not in e.extra and e.last_sent_at]
        trouble = None
        if sent_at:
            if not self._answers:
                return
            try:
                status = self._printer.status()
            except PrinterError as error:
                log.warning("cannot ask the printer how it is", reason=error.reason)
                return
            is_late = records.clock() - min(sent_at) > timedelta(seconds=STUCK_S)
            if status.is_stopped or (status.in_trouble and is_late):
                trouble = str(status)
        if trouble != self.trouble:
            self._change_trouble(trouble, desk)

    def _change_trouble(self, trouble: str | None, desk: Desk) -> None:
        if trouble is not None:
            log.warning("the printer waits for a person", reason=trouble)
        else:
            log.info("the printer works again")
        metrics.TROUBLE.set(trouble is not None)
        self.trouble = trouble
        desk.transactions.run(lambda connection: tell_trouble(connection, self._owner, trouble))

    def _look_at_all(self, entries: list[Entry], desk: Desk, records: Records) -> dict[Key, str]:
        """Why slips are stuck that have not been reported so."""
        stuck: dict[Key, str] = {}
        for entry in entries:
            if END in entry.extra or time.monotonic() < self._next_look.get(entry.key, 0.0):
                continue
            try:
                reason = self._look(entry, desk, records)
            except PrinterError as error:
                records.put_back(entry.key)  # if it is this one's fault, the next round begins with the others
                if error.concerns_all:
                    self._note_silence(error, len(entries))
                    reason = error.reason if error.fate is Fate.CONFIGURATION else "the printer does not answer"
                    return {entry.key: reason for entry in entries if _is_stuck(entry, records)}
                reason = error.reason
                log.warning("cannot follow a slip", order=entry.order_number, job=entry.reference, reason=reason)
            except LeaseLostError:
                continue  # another replica's follower has it
            if reason is not None and _is_stuck(entry, records):
                stuck[entry.key] = f"on the printer: {reason}"
            self._look_later(entry, records)
            self._answers = True
        return stuck

    def _note_silence(self, error: PrinterError, slips: int) -> None:
        if self._answers:
            log.warning("cannot ask the printer", reason=error.reason, slips=slips)
        self._answers = False

    def _look(self, entry: Entry, desk: Desk, records: Records) -> str | None:
        """Commit what is seen of the slip. Why it is stuck, if it is."""
        submission = Submission(self._printer, self._media, desk.slips, records)
        if entry.state != ACCEPTED:
            self._submit_copy(entry, submission, desk, records)
            return None
        facts: dict[str, str] = {END: End.ELSEWHERE}
        if not submission.is_elsewhere(entry):
            job = submission.current_job(entry)
            if job is not None and not job.is_finished:
                return self._look_at_unfinished(job, entry, records)
            facts = end_of(job, entry)
            if job is None and self._forgets_done and self._is_forgotten(entry, records):
                facts = {END: End.FORGOTTEN}
        if (taken := records.claim_again(entry, new_owner())) is not None:
            records.advance(taken, ACCEPTED, release=True, extra={**taken.extra, **facts})
        return None

    def _look_at_unfinished(self, job: Job, entry: Entry, records: Records) -> str | None:
        """Why the slip is stuck, if it is."""
        if job.is_left_held:
            self._printer.release_job(job.id)
            log.warning("a job that a crash of the printer left held is released", order=entry.order_number, job=job.id)
            return None
        seen = seen_of(job, entry, records.clock())
        if seen and (taken := records.claim_again(entry, new_owner())) is not None:
            entry = records.advance(taken, ACCEPTED, release=True, extra={**taken.extra, **seen})
        if not _is_stuck(entry, records):
            return None
        return f"{entry.reference} is held" if job.state == JobState.HELD else str(self._printer.status())

    def _is_forgotten(self, entry: Entry, records: Records) -> bool:
        """Whether the whole job was seen printing, and is gone from a printer that has been on since and is well."""
        if SEEN_PRINTING not in entry.extra or entry.extra.get(UPLOAD) == CUT:
            return False
        if self._printer.job(entry.extra["job_id"]) is not None:
            return False
        status = self._printer.status()
        printing_for_s = (records.clock() - datetime.fromisoformat(entry.extra[SEEN_PRINTING])).total_seconds()
        # it counts whole seconds
        was_on = status.up_time_s is not None and printing_for_s - 1 <= status.up_time_s < UP_TIME_MAX_S
        return was_on and not status.in_trouble

    def _close(self, entry: Entry, desk: Desk, records: Records) -> None:
        owner = new_owner()
        if (taken := records.claim_again(entry, owner)) is None:
            return
        try:
            close(taken, desk, records, repeats_lost=self._repeats_lost)
        except LeaseLostError:
            return  # another replica's follower has it
        finally:
            records.release(entry.key, owner)  # the report was not confirmed: the next round tries again

    def _submit_copy(self, entry: Entry, submission: Submission, desk: Desk, records: Records) -> None:
        owner = new_owner()
        if (taken := records.claim_again(entry, owner)) is None:
            return
        try:
            submission.submit(taken)
        except NotSettledError:
            return
        except VanishedError as error:
            lost = records.reread(entry.key, owner)
            lose(lost, str(error), desk, records, repeats=self._repeats_lost and error.is_lost)
        except PrinterError as error:
            if error.fate is not Fate.PERMANENT:
                raise
            refused = records.reread(entry.key, owner)
            give_up(refused, f"the printer refuses the slip: {error.reason}", desk, records)
        except UnmadeSlipError as error:
            give_up(records.reread(entry.key, owner), str(error), desk, records)
        finally:
            records.release(entry.key, owner)

    def _report_stuck(self, entry: Entry, detail: str, desk: Desk, records: Records) -> None:
        owner = new_owner()
        if (taken := records.claim_again(entry, owner)) is None:
            return
        try:
            report(taken, desk, "waiting", detail)
            records.advance(taken, taken.state, release=True, extra={**taken.extra, REPORTED: True})
        except LeaseLostError:
            return  # another replica's follower has it
        finally:
            records.release(entry.key, owner)

    def _look_later(self, entry: Entry, records: Records) -> None:
        sent_at = entry.last_sent_at or entry.created_at
        age_s = (records.clock() - sent_at).total_seconds()
        self._next_look[entry.key] = time.monotonic() + min(POLL_MAX_S, age_s / 10)


def _is_stuck(entry: Entry, records: Records) -> bool:
    """Whether the slip has waited for long, and is not reported so. A copy that the printer does not take, tried again
    and again, waits since it was made."""
    since = entry.last_sent_at if entry.state == ACCEPTED else entry.created_at
    assert since is not None, "an accepted slip has been sent"
    return not entry.extra.get(REPORTED) and records.clock() - since > timedelta(seconds=STUCK_S)
