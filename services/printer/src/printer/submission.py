"""One slip on its way to the printer: Create-Job, commit the job's id, then Send-Document.

Whatever interrupts it, the ledger says what may have happened, and the printer is asked before anything is repeated.
"""

from datetime import timedelta
from typing import Any, NoReturn

from eventbus.department.ledger import NEW, Entry
from eventbus.logs import get_logger

from printer.classification import GONE, HAS_DOCUMENT, NOT_FOUND, NOT_POSSIBLE, Fate, PrinterError
from printer.ipp_answers import Job
from printer.ipp_client import IppPrinter
from printer.ipp_document import k_octets, padded
from printer.ipp_transport import READ_TIMEOUT_S
from printer.making import Slips, make_slip
from printer.records import ACCEPTED, CREATED, CREATING, SENDING, STARTED, Records

SETTLE_S = 5.0
"""A printer may take so long to show a job whose answer was lost, from the end of the call."""
UNATTENDED_SETTLE_S = READ_TIMEOUT_S + SETTLE_S
"""The same where nobody saw the call end, from its start."""

UPLOAD = "upload"
"""In `extra`: how an upload without a good answer ended. Missing: it is under way, or its worker is dead."""
WHOLE = "whole"
CUT = "cut"
"""The printer may have half a document, and ippeveprinter prints that as if it were all."""
IS_EMPTY_SINCE_UPLOAD = "is_empty_since_upload"
"""In `extra`: the printer was asked once after such an upload, and had no document yet."""
K_OCTETS = "k_octets"
"""In `extra`: the size that a printer tells of the job when it has the whole document."""
SEEN_PRINTING = "seen_printing"
"""In `extra`: when the job was seen printing, for a printer that drops its finished jobs."""
STARTED_AT = "started_at"
"""In `extra`: when the printer began to print it, as it was first seen."""
SENT_BEFORE = "sent_before"
"""In `extra`: an earlier upload to the same job may still have arrived."""
REPORTED = "reported"
"""In `extra`: the order was told that its slip waits."""
TARGET = "target"
"""In `extra`: the printer that has the job."""

log = get_logger(__name__)


class NotSettledError(Exception):
    """It is too early to ask the printer what became of a request."""

    def __init__(self, seconds_left: float) -> None:
        super().__init__(f"asking the printer in {seconds_left:.1f} s")
        self.seconds_left = seconds_left


class VanishedError(Exception):
    """The job whose document was sent cannot be followed: there may be paper, or not. The text says why."""

    def __init__(self, reason: str, *, is_lost: bool = True) -> None:
        super().__init__(reason)
        self.is_lost = is_lost
        """Whether the printer lost it. If not, another printer has it."""


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
            UnmadeSlipError: nothing was sent.
            LeaseLostError: another worker goes on with it.
        """
        if entry.state in STARTED:
            entry = self._restart_elsewhere(entry) if self.is_elsewhere(entry) else self._find_out(entry)
        if entry.state == ACCEPTED:
            return entry
        pdf = make_slip(entry, self._slips, self._records)
        if entry.state == NEW:
            entry = self._create(entry)
        return self._send(entry, pdf)

    def is_elsewhere(self, entry: Entry) -> bool:
        """Whether another printer than ours has the job."""
        return is_elsewhere(entry, self._printer.address)

    def _restart_elsewhere(self, entry: Entry) -> Entry:
        if _may_have_document(entry):
            raise VanishedError(printer_changed(entry), is_lost=False)
        return self._restart(entry)

    def _find_out(self, entry: Entry) -> Entry:
        try:
            return self._ask(entry)
        except PrinterError as error:
            if error.fate in (Fate.PERMANENT, Fate.ATTRIBUTES):  # it refuses the question; the slip may be on paper
                raise PrinterError(Fate.UNKNOWN, error.reason, status=error.status) from error
            raise

    def _ask(self, entry: Entry) -> Entry:
        """The entry as the printer's answer says it stands: new, created or accepted."""
        self._wait_until_settled(entry)
        if entry.state == CREATING:
            job = self._printer.find_job(job_name(entry))
            if job is None:
                return self._restart(entry)
        else:
            job = self.current_job(entry)
            if job is None and _may_have_document(entry):
                raise VanishedError(vanished(entry))
            if job is None:
                return self._restart(entry)
        # without a count of documents only a job whose document we began to send may have one
        has_document = not job.is_empty if _may_have_document(entry) else bool(job.documents)
        if has_document:
            return self._records.advance(entry, ACCEPTED, release=True, **_facts(entry, job.id, **_upload(entry)))
        if job.is_finished:
            return self._restart(entry)
        if entry.state == SENDING and not entry.extra.get(IS_EMPTY_SINCE_UPLOAD):
            self._look_again_later(entry)
        return self._records.advance(entry, CREATED, **_facts(entry, job.id))

    def _look_again_later(self, entry: Entry) -> None:
        """A printer that answers late may take the document after we looked: two looks apart must agree."""
        extra = {**entry.extra, **_upload(entry), IS_EMPTY_SINCE_UPLOAD: True}
        self._records.advance(entry, SENDING, last_sent_at=self._records.clock(), extra=extra)
        raise NotSettledError(SETTLE_S)

    def _restart(self, entry: Entry) -> Entry:
        return self._records.advance(entry, NEW, reference=None, extra=_told(entry))

    def current_job(self, entry: Entry) -> Job | None:
        """The entry's job, or None where the printer has none or another order's under its id: it counts anew."""
        job = self._printer.job(entry.extra["job_id"])
        return job if job is not None and self._printer.has_sent(job, job_name(entry)) else None

    def _create(self, entry: Entry) -> Entry:
        now = self._records.clock()
        entry = self._records.advance(
            entry,
            CREATING,
            attempt=entry.attempt + 1,
            first_sent_at=entry.first_sent_at or now,
            last_sent_at=now,
            extra={**_told(entry), TARGET: self._printer.address},
        )
        try:
            job_id = self._printer.create_job(job_name(entry), self._media)
        except PrinterError as error:
            if error.fate is Fate.UNKNOWN:
                self._records.advance(entry, CREATING, last_sent_at=self._records.clock())
            else:
                self._restart(entry)
            raise
        return self._records.advance(entry, CREATED, **_facts(entry, job_id))

    def _send(self, entry: Entry, pdf: bytes) -> Entry:
        extra = {key: value for key, value in entry.extra.items() if key not in (UPLOAD, IS_EMPTY_SINCE_UPLOAD)}
        if UPLOAD in entry.extra:
            extra[SENT_BEFORE] = True
        document = padded(pdf)
        extra[K_OCTETS] = k_octets(document)
        entry = self._records.advance(entry, SENDING, last_sent_at=self._records.clock(), extra=extra)
        try:
            is_printing = self._printer.send_document(entry.extra["job_id"], document)
        except PrinterError as error:
            self._raise_not_sent(entry, error)
        seen = {SEEN_PRINTING: self._records.clock().isoformat()} if is_printing else {}
        return self._records.advance(entry, ACCEPTED, release=True, extra={**entry.extra, **seen})

    def _raise_not_sent(self, entry: Entry, error: PrinterError) -> NoReturn:
        """Write down what an upload without a good answer left behind, and raise."""
        if error.status in (NOT_FOUND, GONE):
            if entry.extra.get(SENT_BEFORE):
                raise VanishedError(vanished(entry)) from error
            self._restart(entry)
            raise PrinterError(Fate.RETRY, "the printer lost the job before its document came") from error
        if error.status == HAS_DOCUMENT and SENT_BEFORE not in entry.extra:
            # a printer that was restarted counts anew, and another order's worker knew this id from before
            raise VanishedError(f"another document is in {entry.reference}: look in the tray") from error
        if error.status == NOT_POSSIBLE or error.fate is Fate.UNKNOWN:
            extra = {**entry.extra, UPLOAD: WHOLE if error.is_sent_whole else CUT}
            self._records.advance(entry, SENDING, last_sent_at=self._records.clock(), extra=extra)
            raise PrinterError(Fate.UNKNOWN, error.reason, status=error.status) from error
        if error.fate in (Fate.PERMANENT, Fate.ATTRIBUTES):
            self._cancel(entry)
            self._restart(entry)
            raise PrinterError(Fate.PERMANENT, error.reason, status=error.status) from error
        self._records.advance(entry, CREATED)
        raise error

    def _cancel(self, entry: Entry) -> None:
        """Take the empty job away, which would keep some printers from all others until they give it up."""
        try:
            self._printer.cancel_job(entry.extra["job_id"])
        except PrinterError as error:
            log.warning("an empty job is left", order=entry.order_number, job=entry.reference, reason=error.reason)

    def _wait_until_settled(self, entry: Entry) -> None:
        assert entry.last_sent_at is not None, "a started slip has been sent"
        is_unattended = entry.state == SENDING and UPLOAD not in entry.extra
        settle_s = UNATTENDED_SETTLE_S if is_unattended else SETTLE_S
        left = entry.last_sent_at + timedelta(seconds=settle_s) - self._records.clock()
        if left > timedelta(0):
            raise NotSettledError(left.total_seconds())


def job_name(entry: Entry) -> str:
    """The job's name: by it a job is found whose number is not known. Never the customer's name: printers log it."""
    return entry.order_number if entry.copy == 1 else f"{entry.order_number}.{entry.copy}"


def is_elsewhere(entry: Entry, address: str) -> bool:
    """Whether another printer than the one at that address has the entry's job."""
    return bool(entry.extra.get(TARGET, address) != address)


def printer_changed(entry: Entry) -> str:
    """What a person is told whose slip another printer has."""
    if TARGET not in entry.extra:  # a second copy that waits, or a job of a version that did not write it down
        return f"printer changed: {entry.reference or 'a copy'} was meant for the one before, look in its tray"
    return f"printer changed: {entry.reference} was sent to {entry.extra[TARGET]}, look in its tray"


def vanished(entry: Entry) -> str:
    """What a person is told whose slip the printer lost. Printing it again would be wrong for one in nine, as tried."""
    return f"the printer does not know {entry.reference} any more: look in the tray"


def _may_have_document(entry: Entry) -> bool:
    """Whether an upload to the entry's job was begun."""
    return entry.state == SENDING or UPLOAD in entry.extra or SENT_BEFORE in entry.extra


def _told(entry: Entry) -> dict[str, Any]:
    """What stays true of the slip when its job is made anew."""
    return {REPORTED: True} if entry.extra.get(REPORTED) else {}


def _upload(entry: Entry) -> dict[str, str]:
    """How the upload ended that put a document into the job. A dead worker's is taken as whole: a slip is a few
    packets, and CUPS keeps no half document."""
    return {UPLOAD: entry.extra.get(UPLOAD, WHOLE)} if _may_have_document(entry) else {}


def _facts(entry: Entry, job_id: int, **facts: str) -> dict[str, Any]:
    return {"reference": f"job {job_id}", "extra": {**entry.extra, "job_id": job_id, **facts}}
