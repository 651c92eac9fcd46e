"""A client of one IPP printer over HTTP (RFC 8010, RFC 8011): create a job, send its document, ask what became of it.

Every failure is a `PrinterError` that says whether the printer may have accepted the request.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from printer.classification import GONE, NOT_FOUND, Fate, JobState, PrinterError
from printer.ipp_access import Access
from printer.ipp_answers import JOB_ATTRIBUTES, Job, PrinterStatus, integer_of, job_of, number_of, texts_of
from printer.ipp_message import Attribute, Group, Response, Tag
from printer.ipp_transport import ANYBODY, IppTransport, Operation, http_url
from printer.papers import media_named

PDF = "application/pdf"
START_TIMEOUT_S = 5.0
"""A printer that is silent for so long at our start is asked again when there is something to print."""


@dataclass(frozen=True, slots=True)
class _Capabilities:
    formats: tuple[str, ...]
    media: tuple[str, ...]
    print_scaling: tuple[str, ...]
    which_jobs: tuple[str, ...]


class IppPrinter:
    """One printer, at an `ipp://` or `ipps://` address. Connects when it is first used.

    Args:
        uri: its address; without a port 631.
        connections: kept open, and used at a time, at most.
        access: login and trust.
    """

    def __init__(self, uri: str, connections: int, access: Access = ANYBODY) -> None:
        self.address = http_url(uri)
        self._transport = IppTransport(uri, connections, access)
        self._known: _Capabilities | None = None

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def status(self) -> PrinterStatus:
        """How the printer is now."""
        group = self._ask_printer("printer-state", "printer-state-reasons", "printer-up-time")
        return PrinterStatus(
            integer_of(group, "printer-state"),
            texts_of(group, "printer-state-reasons"),
            number_of(group, "printer-up-time"),
        )

    def formats(self) -> tuple[str, ...]:
        """The document formats that it takes. Asked with little patience."""
        group = self._ask_printer("document-format-supported", read_timeout_s=START_TIMEOUT_S)
        return texts_of(group, "document-format-supported")

    def has_sent(self, job: Job, name: str) -> bool:
        """Whether the job, found by its id, is the one that we sent under that name.

        A printer that counts anew gives an id again. A server that hides names from strangers shows us our own, so a
        job without a name is ours only if its user is.
        """
        if job.name is not None:
            return job.name == name
        return job.user == self._transport.user

    def create_job(self, name: str, media: str) -> int:
        """Make an empty job; its id. `media` is asked for where the printer has paper of that size."""
        attributes = self._job_attributes(media)
        while True:
            try:
                group = self._call(
                    Operation.CREATE_JOB, {"job-name": (Tag.NAME, name)}, job=attributes, answers=Tag.JOB
                )
                return integer_of(group.first(Tag.JOB), "job-id")
            except PrinterError as error:
                if error.fate is not Fate.ATTRIBUTES:
                    raise
                if not attributes:
                    raise PrinterError(Fate.PERMANENT, error.reason, status=error.status) from error
                attributes = {}

    def send_document(self, job_id: int, pdf: bytes) -> bool:
        """Send the job's only document. Returns when the printer has accepted it: whether it prints already."""
        answer = self._call(
            Operation.SEND_DOCUMENT,
            {
                "job-id": (Tag.INTEGER, job_id),
                "document-format": (Tag.MIME_TYPE, PDF),
                "last-document": (Tag.BOOLEAN, True),
            },
            document=pdf,
        )
        return number_of(answer.first(Tag.JOB), "job-state") == JobState.PROCESSING

    def cancel_job(self, job_id: int) -> None:
        """End the job without printing it, or what is left of it."""
        self._call(Operation.CANCEL_JOB, {"job-id": (Tag.INTEGER, job_id)})

    def release_job(self, job_id: int) -> None:
        """Print a job that is held."""
        self._call(Operation.RELEASE_JOB, {"job-id": (Tag.INTEGER, job_id)})

    def job(self, job_id: int) -> Job | None:
        """The job with that id, or None if the printer knows none."""
        operation: dict[str, Attribute] = {
            "job-id": (Tag.INTEGER, job_id),
            "requested-attributes": (Tag.KEYWORD, JOB_ATTRIBUTES),
        }
        try:
            response = self._call(Operation.GET_JOB_ATTRIBUTES, operation, answers=Tag.JOB)
        except PrinterError as error:
            if error.status in (NOT_FOUND, GONE):
                return None
            raise
        return job_of(response.first(Tag.JOB))

    def find_job(self, name: str) -> Job | None:
        """The job of that name; of several the one with a document. None: the printer surely has none."""
        # asked for id, name and state alone, CUPS 2.4 leaves out names and whole jobs; with document-format it does not
        requested = (*JOB_ATTRIBUTES, "document-format")
        found: list[Job] = []
        which = ("all",) if "all" in self._capabilities().which_jobs else ("not-completed", "completed")
        for kind in which:
            operation: dict[str, Attribute] = {
                "which-jobs": (Tag.KEYWORD, kind),
                "requested-attributes": (Tag.KEYWORD, requested),
            }
            response = self._call(Operation.GET_JOBS, operation)
            found += [job_of(group) for group in response.all(Tag.JOB)]
        named = [job if job.name is not None else self.job(job.id) for job in found]
        ours = [job for job in named if job is not None and job.name == name]
        return max(ours, key=lambda job: (not job.is_empty, job.id), default=None)

    def _job_attributes(self, media: str) -> dict[str, Attribute]:
        known = self._capabilities()
        if PDF not in known.formats:
            raise PrinterError(Fate.CONFIGURATION, "the printer does not take PDF")
        attributes: dict[str, Attribute] = {}
        if (named := media_named(media, known.media)) is not None:
            attributes["media"] = (Tag.KEYWORD, named)
        if "none" in known.print_scaling:  # scaled bars are no whole dots any more
            attributes["print-scaling"] = (Tag.KEYWORD, "none")
        return attributes

    def _capabilities(self) -> _Capabilities:
        if self._known is None:
            names = ("document-format", "media", "print-scaling", "which-jobs")
            group = self._ask_printer(*(f"{name}-supported" for name in names))
            self._known = _Capabilities(*(texts_of(group, f"{name}-supported") for name in names))
        return self._known

    def _ask_printer(self, *attributes: str, read_timeout_s: float | None = None) -> Group:
        operation: dict[str, Attribute] = {"requested-attributes": (Tag.KEYWORD, attributes)}
        answer = self._call(
            Operation.GET_PRINTER_ATTRIBUTES, operation, answers=Tag.PRINTER, read_timeout_s=read_timeout_s
        )
        return answer.first(Tag.PRINTER)

    def _call(
        self,
        operation: Operation,
        attributes: Mapping[str, Attribute],
        *,
        job: Mapping[str, Attribute] | None = None,
        answers: Tag | None = None,
        document: bytes = b"",
        read_timeout_s: float | None = None,
    ) -> Response:
        try:
            return self._transport.call(
                operation, attributes, job=job, answers=answers, document=document, read_timeout_s=read_timeout_s
            )
        except PrinterError as error:
            if error.fate is not Fate.BUSY:
                self._known = None  # after a failure it may be another printer, or set up anew
            raise
