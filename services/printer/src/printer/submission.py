"""One slip on its way to the printer: Create-Job, commit the job's id, then Send-Document.

Whatever interrupts it, the ledger says what may have happened, and the printer is asked before anything is repeated.
"""

from datetime import timedelta
from typing import Any, Protocol

from eventbus.contract import OrderCreated
from eventbus.department.ledger import NEW, Entry

from printer.classification import NOT_FOUND, Fate, PrinterError
from printer.ipp_client import IppPrinter, Job
from printer.records import ACCEPTED, CREATED, CREATING, SENDING, STARTED, Records

SETTLE_S = 5.0
"""A printer may take so long to show a job whose answer was lost."""
NOT_POSSIBLE = 0x0404


class Slips(Protocol):
    """Makes slips, see `slip.SlipMaker`."""

    def render(self, order: OrderCreated, note: str | None = None) -> bytes: ...


class NotSettledError(Exception):
    """It is too early to ask the printer what became of a request."""

    def __init__(self, seconds_left: float) -> None:
        super().__init__(f"asking the printer in {seconds_left:.1f} s")
        self.seconds_left = seconds_left


class VanishedError(Exception):
    """The printer does not know the job whose document was sent: there may be paper, or not."""


class Submission:
    """Brings slips from `new` to `accepted`, each once."""

    def __init__(self, printer: IppPrinter, media: str, slips: Slips, records: Records) -> None:
        self._printer = printer
        self._media = media
        self._slips = slips
        self._records = records

    def submit(self, entry: Entry) -> Entry:
        """The entry, accepted by the printer and released.

        Args:
            entry: claimed; in any state before `accepted`.

        Raises:
            PrinterError: not accepted, or nobody knows; the ledger says which.
            NotSettledError: come back later.
            VanishedError: a person has to look.
            LeaseLostError: another worker goes on with it.
        """
        if entry.state in STARTED:
            entry = self._ask(entry)
        if entry.state == ACCEPTED:
            return entry
        pdf = self._slips.render(self._records.order(entry), note_of(entry.copy))
        if entry.state == NEW:
            entry = self._create(entry)
        return self._send(entry, pdf)

    def _ask(self, entry: Entry) -> Entry:
        """The entry as the printer's answer says it stands: new, created or accepted."""
        self._wait_until_settled(entry)
        if entry.state == CREATING:
            job = self._printer.find_job(job_name(entry))
            if job is None:
                return self._records.advance(entry, NEW)
        else:
            job = self.current_job(entry)
            if job is None and entry.state == SENDING:
                raise VanishedError(f"the printer does not know {entry.reference} any more")
            if job is None:
                return self._records.advance(entry, NEW)
        # without a count of documents only a job whose document we began to send may have one
        has_document = not job.is_empty if entry.state == SENDING else bool(job.documents)
        if has_document:
            return self._records.advance(entry, ACCEPTED, release=True, **_facts(entry, job.id))
        if job.is_finished:
            return self._records.advance(entry, NEW)
        return self._records.advance(entry, CREATED, **_facts(entry, job.id))

    def current_job(self, entry: Entry) -> Job | None:
        """The entry's job, or None where the printer has none or another order's under its id: it counts anew."""
        job = self._printer.job(entry.extra["job_id"])
        return job if job is not None and job.name in (None, job_name(entry)) else None

    def _create(self, entry: Entry) -> Entry:
        now = self._records.clock()
        entry = self._records.advance(
            entry,
            CREATING,
            attempt=entry.attempt + 1,
            first_sent_at=entry.first_sent_at or now,
            last_sent_at=now,
        )
        try:
            job_id = self._printer.create_job(job_name(entry), self._media)
        except PrinterError as error:
            if error.fate is not Fate.UNKNOWN:
                self._records.advance(entry, NEW)
            raise
        return self._records.advance(entry, CREATED, **_facts(entry, job_id))

    def _send(self, entry: Entry, pdf: bytes) -> Entry:
        entry = self._records.advance(entry, SENDING, last_sent_at=self._records.clock())
        try:
            self._printer.send_document(entry.extra["job_id"], pdf)
        except PrinterError as error:
            if error.status == NOT_FOUND:  # surely not accepted: the next attempt makes a new job
                self._records.advance(entry, NEW)
                raise PrinterError(Fate.RETRY, "the printer lost the job before its document came") from error
            if error.status == NOT_POSSIBLE:  # the job is further than we know
                raise PrinterError(Fate.UNKNOWN, error.reason) from error
            if error.fate is not Fate.UNKNOWN:
                self._records.advance(entry, CREATED)
            raise
        return self._records.advance(entry, ACCEPTED, release=True)

    def _wait_until_settled(self, entry: Entry) -> None:
        assert entry.last_sent_at is not None, "a started slip has been sent"
        left = entry.last_sent_at + timedelta(seconds=SETTLE_S) - self._records.clock()
        if left > timedelta(0):
            raise NotSettledError(left.total_seconds())


def job_name(entry: Entry) -> str:
    """The job's name: by it a job is found whose number is not known. Never the customer's name: printers log it."""
    return entry.order_number if entry.copy == 1 else f"{entry.order_number}.{entry.copy}"


def note_of(copy: int) -> str | None:
    """What stands on a repeated slip, so that two papers of one order are not both packed."""
    match copy:
        case 1:
            return None
        case 2:
            return "2nd print: first was aborted"
        case _:
            return f"Print no. {copy}: earlier ones were aborted"


def _facts(entry: Entry, job_id: int) -> dict[str, Any]:
    return {"reference": f"job {job_id}", "extra": {**entry.extra, "job_id": job_id}}
