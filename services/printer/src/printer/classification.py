"""What an answer of the printer means, as tables (`Fate`), and what a job's state means."""

import ssl
from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

import requests
import urllib3
from eventbus.department.http_target import causes_of


class Fate(Enum):
    """What became of a request, and who has to do something."""

    OK = "ok"
    RETRY = "retry"
    """Surely not accepted; the same request may succeed later."""
    BUSY = "busy"
    """Surely not accepted, because the printer has enough to do. No failure."""
    UNKNOWN = "unknown"
    """It may have been accepted: ask the printer before repeating."""
    PAUSED = "paused"
    """The printer takes no jobs until a person does something at it."""
    CONFIGURATION = "configuration"
    """The printer refuses us: address, rights, certificate, formats."""
    ATTRIBUTES = "attributes"
    """It refuses this job's attributes; it may take the job without them."""
    PERMANENT = "permanent"
    """It will never accept this job."""


WORDS_CHARACTERS_MAX = 400


def in_a_line(words: str) -> str:
    """What a printer says, fit for logs, results and the ledger: printable, at most 400 characters."""
    return "".join(c if c.isprintable() else "?" for c in words[:WORDS_CHARACTERS_MAX])


class PrinterError(Exception):
    """The printer did not do what it was asked to. `reason` is one line without personal data."""

    def __init__(
        self,
        fate: Fate,
        reason: str,
        retry_after_s: float | None = None,
        *,
        status: int | None = None,
        is_answered: bool = True,
        is_sent_whole: bool = False,
    ) -> None:
        self.fate = fate
        self.reason = in_a_line(reason)
        super().__init__(self.reason)
        self.retry_after_s = retry_after_s
        self.status = status
        """The IPP status, where the printer gave one."""
        self.is_answered = is_answered
        """Whether the printer said anything. If not, other requests would fare the same."""
        self.is_sent_whole = is_sent_whole
        """Whether the request went out to its end, and only its answer is missing."""

    @property
    def concerns_all(self) -> bool:
        """Whether every other request would fare the same: no answer, or a refusal below IPP, as of a login."""
        return not self.is_answered or (self.status is None and self.fate is Fate.CONFIGURATION)


NOT_POSSIBLE = 0x0404
"""Of Create-Job on CUPS: too many jobs. Of Send-Document: the job is further than we know."""
NOT_FOUND = 0x0406
GONE = 0x0407
HAS_DOCUMENT = 0x0509
"""Of Send-Document: the job takes no second one."""
IPP_FATES: Mapping[int, Fate] = MappingProxyType(
    {
        0x0401: Fate.CONFIGURATION,  # forbidden
        0x0402: Fate.CONFIGURATION,  # not authenticated
        0x0403: Fate.CONFIGURATION,  # not authorized
        NOT_FOUND: Fate.CONFIGURATION,  # no such printer; of a job, the client asks for the status itself
        GONE: Fate.CONFIGURATION,
        0x040A: Fate.CONFIGURATION,  # document format (CUPS)
        0x040B: Fate.ATTRIBUTES,
        0x040E: Fate.ATTRIBUTES,
        0x0500: Fate.UNKNOWN,  # internal error: a job may be there
        0x0501: Fate.CONFIGURATION,  # operation not supported
        0x0502: Fate.BUSY,  # service unavailable
        0x0503: Fate.CONFIGURATION,  # IPP version
        0x0504: Fate.PAUSED,  # device error
        0x0505: Fate.BUSY,  # temporary error
        0x0506: Fate.PAUSED,  # not accepting jobs
        0x0507: Fate.BUSY,
    }
)
"""RFC 8011 appendix B; all others by their first digit, see `fate_of_status`."""

HTTP_FATES: Mapping[int, Fate] = MappingProxyType(
    {
        401: Fate.CONFIGURATION,
        403: Fate.CONFIGURATION,
        404: Fate.CONFIGURATION,
        408: Fate.UNKNOWN,
        413: Fate.PERMANENT,
        426: Fate.CONFIGURATION,  # wants TLS
        429: Fate.BUSY,
    }
)


def fate_of_status(status: int) -> Fate:
    """The fate of a request that was answered with this IPP status."""
    if status < 0x0100:
        return Fate.OK
    if fate := IPP_FATES.get(status):
        return fate
    return Fate.PERMANENT if status < 0x0500 else Fate.UNKNOWN


def fate_of_http(status: int, has_retry_after: bool) -> Fate:
    """The fate of a request that was answered with this HTTP status."""
    if status == 200:
        return Fate.OK
    if fate := HTTP_FATES.get(status):
        return fate
    if status == 503 and has_retry_after:
        return Fate.BUSY
    return Fate.UNKNOWN if status >= 500 else Fate.CONFIGURATION


HTTP_REASONS: Mapping[int, str] = MappingProxyType(
    {
        401: "it wants a login: PRINTER_USER and PRINTER_PASSWORD are missing or wrong",
        403: "the login may not do this",
        404: "there is no printer at this path of PRINTER_URI",
        426: "it wants TLS: use ipps:// in PRINTER_URI",
    }
)


def reason_of_http(status: int) -> str:
    """What to tell a person about a request that was answered with this HTTP status."""
    hint = HTTP_REASONS.get(status)
    return f"the printer answers HTTP {status}{f': {hint}' if hint else ''}"


TLS_REFUSALS = frozenset(
    {
        "WRONG_VERSION_NUMBER",  # it speaks plain HTTP
        "RECORD_LAYER_FAILURE",  # the same, of OpenSSL 3.2 and later
        "HTTP_REQUEST",
        "UNSUPPORTED_PROTOCOL",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSL/TLS_ALERT_HANDSHAKE_FAILURE",
        "DH_KEY_TOO_SMALL",
        "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    }
)
"""OpenSSL's reasons why no TLS connection came about, before any byte of the request was sent."""


def fate_of_exception(error: requests.RequestException) -> Fate:
    """The fate of a request without an answer."""
    causes = causes_of(error)
    if _tls_problem(causes) is not None:
        return Fate.CONFIGURATION
    # NewConnectionError: name not found, refused, no route; before any byte of the request was sent
    if any(isinstance(c, (requests.ConnectTimeout, urllib3.exceptions.NewConnectionError)) for c in causes):
        return Fate.RETRY
    return Fate.UNKNOWN


def reason_of_exception(error: requests.RequestException) -> str:
    """What to tell a person about a request without an answer."""
    problem = _tls_problem(causes_of(error))
    return f"no answer: {type(error).__name__}" if problem is None else f"no trusted connection: {problem}"


def _tls_problem(causes: list[BaseException]) -> str | None:
    """Why no connection came about that could be trusted; None where that is not what failed."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the printer's certificate is refused ({getattr(cause, 'verify_message', None) or cause})"
        reason = getattr(cause, "reason", None)  # of OpenSSL's errors alone
        if isinstance(cause, ssl.SSLError) and reason in TLS_REFUSALS:
            return f"no TLS with this printer ({reason.replace('_', ' ').lower()})"
        # urllib3 has no class of its own for it
        if isinstance(cause, urllib3.exceptions.SSLError) and str(cause).startswith("Fingerprints did not match"):
            return "the printer's certificate is not the one of PRINTER_CERT_SHA256"
    return None


class JobState(IntEnum):
    """RFC 8011 section 5.3.7."""

    PENDING = 3
    HELD = 4
    PROCESSING = 5
    STOPPED = 6
    CANCELED = 7
    ABORTED = 8
    COMPLETED = 9


PRINTER_STOPPED = 5
PRINTER_STATES: Mapping[int, str] = MappingProxyType({3: "idle", 4: "printing", PRINTER_STOPPED: "stopped"})
TROUBLE_REASONS = (
    "media-needed",
    "media-empty",
    "jam",
    "cover-open",
    "door-open",
    "input-tray-missing",
    "marker-supply-empty",
    "toner-empty",
    "paused",
    "offline",
)
"""Of `printer-state-reasons`, with any suffix (`-error`, `-warning`): a person has to go there."""


def is_in_trouble(printer_state: int, reasons: tuple[str, ...]) -> bool:
    """Whether the printer waits for a person, so that no job will end by itself."""
    return printer_state == PRINTER_STOPPED or any(part in reason for reason in reasons for part in TROUBLE_REASONS)
