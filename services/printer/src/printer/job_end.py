"""What to write down of a job: that it is being printed, and how it ended."""

from datetime import datetime

from eventbus.department.ledger import Entry

from printer.classification import JobState
from printer.closing import END, End
from printer.ipp_answers import Job
from printer.submission import CUT, K_OCTETS, SEEN_PRINTING, STARTED_AT, UPLOAD, WHOLE


def seen_of(job: Job, entry: Entry, now: datetime) -> dict[str, str | int]:
    """What to add to `extra` of a job that has not ended; empty where nothing is new."""
    seen: dict[str, str | int] = {}
    if job.started_at is not None and STARTED_AT not in entry.extra:
        seen[STARTED_AT] = job.started_at
    if job.state == JobState.PROCESSING and SEEN_PRINTING not in entry.extra:
        seen[SEEN_PRINTING] = now.isoformat()
    return seen


def end_of(job: Job | None, entry: Entry) -> dict[str, str]:
    """What to add to `extra` of a job that has ended, or that the printer does not know."""
    if job is None:
        return {END: End.VANISHED}
    if job.state != JobState.COMPLETED:
        return {END: End.ABORTED if job.state == JobState.ABORTED else End.CANCELED}
    if job.documents is not None and job.documents > 1:
        return {END: End.DOUBLED}
    is_whole = job.k_octets is not None and job.k_octets == entry.extra.get(K_OCTETS)
    if entry.extra.get(UPLOAD) == CUT and not is_whole:
        return {END: End.COMPLETED}
    if entry.extra.get(STARTED_AT, job.started_at) != job.started_at:
        return {END: End.STARTED_TWICE}
    return {END: End.COMPLETED, **({UPLOAD: WHOLE} if is_whole else {})}
