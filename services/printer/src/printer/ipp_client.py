"""A client of one IPP printer over HTTP (RFC 8010, RFC 8011): create a job, send its document, ask what became of it.

Every failure is a `PrinterError` that says whether the printer may have accepted the request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from printer.classification import GONE, NOT_FOUND, Fate, JobState, PrinterError, is_in_trouble
from printer.ipp_message import Attribute, Group, Response, Tag
from printer.ipp_transport import IppTransport, Operation, http_url

PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the printer describes it."""

    id: int
    name: str | None
    """None: the printer does not say (CUPS leaves names out of long lists)."""
    state: int
    reasons: tuple[str, ...]
    documents: int | None
    """None: the printer does not count them."""

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


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """How the printer is."""

    state: int
    reasons: tuple[str, ...]

    @property
    def in_trouble(self) -> bool:
        """Whether it waits for a person."""
        return is_in_trouble(self.state, self.reasons)

    def __str__(self) -> str:
        return ", ".join(reason for reason in self.reasons if reason != "none") or f"state {self.state}"


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
    """

    def __init__(self, uri: str, connections: int) -> None:
        self.address = http_url(uri)
        self._transport = IppTransport(uri, connections)
        self._known: _Capabilities | None = None

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def status(self) -> PrinterStatus:
        """How the printer is now."""
        group = self._ask_printer("printer-state", "printer-state-reasons")
        return PrinterStatus(_integer(group, "printer-state"), _texts(group, "printer-state-reasons"))

    def create_job(self, name: str, media: str) -> int:
        """Make an empty job; its id. `media` is asked for where the printer has it."""
        attributes = self._job_attributes(media)
        while True:
            try:
                group = self._call(
                    Operation.CREATE_JOB, {"job-name": (Tag.NAME, name)}, job=attributes, answers=Tag.JOB
                )
                return _integer(group.first(Tag.JOB), "job-id")
            except PrinterError as error:
                if error.fate is not Fate.ATTRIBUTES:
                    raise
                if not attributes:
                    raise PrinterError(Fate.PERMANENT, error.reason, status=error.status) from error
                attributes = {}

    def send_document(self, job_id: int, pdf: bytes) -> None:
        """Send the job's only document. Returns when the printer has accepted it."""
        self._call(
            Operation.SEND_DOCUMENT,
            {
                "job-id": (Tag.INTEGER, job_id),
                "document-format": (Tag.MIME_TYPE, PDF),
                "last-document": (Tag.BOOLEAN, True),
            },
            document=pdf,
        )

    def cancel_job(self, job_id: int) -> None:
        """End the job without printing it, or what is left of it."""
        self._call(Operation.CANCEL_JOB, {"job-id": (Tag.INTEGER, job_id)})

    def job(self, job_id: int) -> Job | None:
        """The job with that id, or None if the printer knows none."""
        requested = ("job-id", "job-name", "job-state", "job-state-reasons", "number-of-documents")
        operation: dict[str, Attribute] = {
            "job-id": (Tag.INTEGER, job_id),
            "requested-attributes": (Tag.KEYWORD, requested),
        }
        try:
            response = self._call(Operation.GET_JOB_ATTRIBUTES, operation, answers=Tag.JOB)
        except PrinterError as error:
            if error.status in (NOT_FOUND, GONE):
                return None
            raise
        return _job(response.first(Tag.JOB))

    def find_job(self, name: str) -> Job | None:
        """The job of that name; of several the one with a document. None: the printer surely has none."""
        # asked for id, name and state alone, CUPS 2.4 leaves out names and whole jobs; with document-format it does not
        requested = ("job-id", "job-name", "job-state", "job-state-reasons", "number-of-documents", "document-format")
        found: list[Job] = []
        which = ("all",) if "all" in self._capabilities().which_jobs else ("not-completed", "completed")
        for kind in which:
            operation: dict[str, Attribute] = {
                "which-jobs": (Tag.KEYWORD, kind),
                "requested-attributes": (Tag.KEYWORD, requested),
            }
            response = self._call(Operation.GET_JOBS, operation)
            found += [_job(group) for group in response.all(Tag.JOB)]
        named = [job if job.name is not None else self.job(job.id) for job in found]
        ours = [job for job in named if job is not None and job.name == name]
        return max(ours, key=lambda job: (not job.is_empty, job.id), default=None)

    def _job_attributes(self, media: str) -> dict[str, Attribute]:
        known = self._capabilities()
        if PDF not in known.formats:
            raise PrinterError(Fate.CONFIGURATION, "the printer does not take PDF")
        attributes: dict[str, Attribute] = {}
        if media in known.media:
            attributes["media"] = (Tag.KEYWORD, media)
        if "none" in known.print_scaling:  # scaled bars are no whole dots any more
            attributes["print-scaling"] = (Tag.KEYWORD, "none")
        return attributes

    def _capabilities(self) -> _Capabilities:
        if self._known is None:
            names = ("document-format", "media", "print-scaling", "which-jobs")
            group = self._ask_printer(*(f"{name}-supported" for name in names))
            self._known = _Capabilities(*(_texts(group, f"{name}-supported") for name in names))
        return self._known

    def _ask_printer(self, *attributes: str) -> Group:
        operation: dict[str, Attribute] = {"requested-attributes": (Tag.KEYWORD, attributes)}
        return self._call(Operation.GET_PRINTER_ATTRIBUTES, operation, answers=Tag.PRINTER).first(Tag.PRINTER)

    def _call(
        self,
        operation: Operation,
        attributes: Mapping[str, Attribute],
        *,
        job: Mapping[str, Attribute] | None = None,
        answers: Tag | None = None,
        document: bytes = b"",
    ) -> Response:
        try:
            return self._transport.call(operation, attributes, job=job, answers=answers, document=document)
        except PrinterError as error:
            if error.fate is not Fate.BUSY:
                self._known = None  # after a failure it may be another printer, or set up anew
            raise


def _job(group: Group) -> Job:
    names, documents = group.get("job-name"), group.get("number-of-documents")
    return Job(
        id=_integer(group, "job-id"),
        name=names[0] if names and isinstance(names[0], str) else None,
        state=_integer(group, "job-state"),
        reasons=_texts(group, "job-state-reasons"),
        documents=documents[0] if documents and isinstance(documents[0], int) else None,
    )


def _integer(group: Group, name: str) -> int:
    values: Sequence[object] = group.get(name, ())
    if not values or not isinstance(values[0], int):
        raise PrinterError(Fate.UNKNOWN, f"the answer has no {name}")
    return values[0]


def _texts(group: Group, name: str) -> tuple[str, ...]:
    return tuple(value for value in group.get(name, ()) if isinstance(value, str))
