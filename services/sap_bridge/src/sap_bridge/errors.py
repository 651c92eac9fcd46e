"""What an answer of SAP means for the order: tables, read from top to bottom; the first row that fits decides."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eventbus.department import http_target

SALES_ORDER_CHARACTERS_MAX = 10
_FRAMEWORK_NOISE = ("/IWBEP/CX_MGW_BUSI_EXCEPTION", "/IWBEP/CX_MGW_TECH_EXCEPTION")
_KEY_IN_LOCATION = re.compile(r"A_SalesOrder\((?:SalesOrder=)?'([^']+)'\)/?$")


class Verdict(StrEnum):
    """What an answer means."""

    BOOKED = "booked"
    """A sales order exists, and its number is known."""
    OK = "ok"
    """A login or a look-up worked."""
    LOGIN = "login"
    """SAP wants another session or token; surely not executed."""
    PERMANENT = "permanent"
    """SAP refuses this order. A person has to look."""
    RETRY = "retry"
    """Surely not executed; may work later."""
    UNKNOWN = "unknown"
    """May have been executed: look up before it is posted again."""
    AUTH = "auth"
    """SAP refuses us, not the order."""
    CONFIG = "config"
    """There is no such service as we were told to call."""


@dataclass(frozen=True, slots=True)
class SapMessage:
    """What SAP's own error body says."""

    code: str
    text: str
    transaction_id: str
    """For SAP's support."""

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" + (f" (transaction {self.transaction_id})" if self.transaction_id else "")


@dataclass(frozen=True, slots=True)
class Signal:
    """What came back of one request."""

    status: int | None
    """None: there was no answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    body: bytes = b""
    failure: str = ""
    """Without an answer: why."""
    sent: bool = True
    """Whether the body had begun to leave. Until then SAP cannot have acted on it."""

    def data(self) -> Any:
        """`d` of an OData V2 answer; None if the body is no such thing."""
        document = _json_object(self.body)
        return document.get("d") if document else None

    def number(self) -> str | None:
        """The sales order that a 201 names, in its body or in `Location`."""
        data = self.data()
        found = data.get("SalesOrder") if isinstance(data, dict) else None
        if not isinstance(found, str) or not found:
            match = _KEY_IN_LOCATION.search(self.headers.get("location", ""))
            found = match.group(1) if match else None
        return found if found and len(found) <= SALES_ORDER_CHARACTERS_MAX and found.isprintable() else None

    def message(self) -> SapMessage | None:
        """SAP's error, or None: bodies of 401, 403, 5xx and of proxies are HTML, XML or text."""
        error = (_json_object(self.body) or {}).get("error")
        if not isinstance(error, dict):
            return None
        inner = error.get("innererror")
        inner = inner if isinstance(inner, dict) else {}
        texts = [_text(error.get("message"))]
        details = inner.get("errordetails")
        texts += [
            f"{detail.get('code')} {_text(detail.get('message'))}"
            for detail in (details if isinstance(details, list) else ())
            if isinstance(detail, dict) and detail.get("code") not in _FRAMEWORK_NOISE
        ]
        text = "; ".join(dict.fromkeys(text for text in texts if text))
        return SapMessage(str(error.get("code", "")), text, str(inner.get("transactionid") or ""))

    def retry_after_s(self) -> float | None:
        """Seconds of `Retry-After`; None if there are none; an hour at most."""
        return http_target.retry_after_s(self.headers.get("retry-after"))

    def reason(self) -> str:
        """For people: SAP's words where there are any, as long as they are and with what they quote."""
        if self.status is None:
            return self.failure
        message = self.message()
        return f"SAP answered {self.status}{f', {message}' if message else ''}"


Condition = Callable[[Signal, re.Pattern[str]], bool]


def _no_answer(signal: Signal, _transient: re.Pattern[str]) -> bool:
    return signal.status is None


def _not_sent(signal: Signal, _transient: re.Pattern[str]) -> bool:
    return signal.status is None and not signal.sent


def _names_sales_order(signal: Signal, _transient: re.Pattern[str]) -> bool:
    return signal.number() is not None


def _has_results(signal: Signal, _transient: re.Pattern[str]) -> bool:
    data = signal.data()
    return isinstance(data, dict) and isinstance(data.get("results"), list)


def _has_token(signal: Signal, _transient: re.Pattern[str]) -> bool:
    return signal.headers.get("x-csrf-token", "").lower() not in ("", "required", "fetch")


def _passes_by_itself(signal: Signal, transient: re.Pattern[str]) -> bool:
    return (message := signal.message()) is not None and transient.search(f"{message.code} {message.text}") is not None


def _token_required(signal: Signal, _transient: re.Pattern[str]) -> bool:
    return signal.headers.get("x-csrf-token", "").lower() == "required"


def _in_saps_words(signal: Signal, _transient: re.Pattern[str]) -> bool:
    message = signal.message()
    return message is not None and message.code != "" and message.text != ""


def _names_delay(signal: Signal, _transient: re.Pattern[str]) -> bool:
    return signal.retry_after_s() is not None


def _always(_signal: Signal, _transient: re.Pattern[str]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: for these statuses (none: any), under that condition, this verdict."""

    statuses: Collection[int]
    verdict: Verdict
    condition: Condition = _always
    pause: bool = False
    """Whether everybody has to hold back."""

    def fits(self, signal: Signal, transient: re.Pattern[str]) -> bool:
        """Whether the row decides on this signal."""
        return (not self.statuses or signal.status in self.statuses) and self.condition(signal, transient)


_SUCCESS, _REDIRECT, _CLIENT_ERROR = range(200, 300), range(300, 400), range(400, 500)
_NO_SUCH_SERVICE = (404, 405, 406, 415, 501)

_SHARED = (
    Rule(_REDIRECT, Verdict.AUTH),  # to a logon page
    Rule((401,), Verdict.LOGIN),
    Rule((403,), Verdict.LOGIN, _token_required),
    Rule((403,), Verdict.AUTH),
    Rule(_NO_SUCH_SERVICE, Verdict.CONFIG),
    Rule((429,), Verdict.RETRY, pause=True),
    Rule((503,), Verdict.RETRY, _names_delay, pause=True),
)

CREATE_RULES = (
    Rule((), Verdict.RETRY, _not_sent),
    Rule((), Verdict.UNKNOWN, _no_answer),
    Rule((201,), Verdict.BOOKED, _names_sales_order),
    Rule(_SUCCESS, Verdict.UNKNOWN),
    Rule((403,), Verdict.LOGIN, _token_required),
    # the service has read the order: it means this one, such as a sales area without authorization
    Rule((403, 404), Verdict.PERMANENT, _in_saps_words),
    *_SHARED,
    Rule((400,), Verdict.RETRY, _passes_by_itself),
    Rule((408, 425), Verdict.UNKNOWN),
    Rule((409, 412, 423, 428), Verdict.RETRY),
    Rule(_CLIENT_ERROR, Verdict.PERMANENT),
    Rule((), Verdict.UNKNOWN),
)
"""Answers to the POST that books."""

LOOK_UP_RULES = (
    Rule((200,), Verdict.OK, _has_results),
    *_SHARED,
    Rule((400,), Verdict.CONFIG),  # our query is the same for every order
    Rule((), Verdict.RETRY),
)
"""Answers to a look-up. A failed one is never "not found"."""

LOGIN_RULES = (
    Rule((200,), Verdict.OK, _has_token),
    Rule(_SUCCESS, Verdict.CONFIG),
    Rule((401, 403), Verdict.AUTH),
    *_SHARED,
    Rule((400,), Verdict.CONFIG),
    Rule((), Verdict.RETRY),
)
"""Answers to the fetch of a token."""


def decide(signal: Signal, rules: tuple[Rule, ...], transient: re.Pattern[str]) -> Rule:
    """The row that decides on this signal. `transient`: texts and codes of a refusal that passes by itself."""
    return next(rule for rule in rules if rule.fits(signal, transient))


def warnings(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Messages that came with a success (`sap-message`), each as `severity code: text`."""
    message = _json_object(_octets(headers.get("sap-message", "")))
    if not message:
        return ()
    details = message.get("details")
    found = [message, *(details if isinstance(details, list) else ())]
    return tuple(
        f"{part.get('severity')} {part.get('code')}: {part.get('message')}" for part in found if isinstance(part, dict)
    )


def _octets(header: str) -> bytes:
    # http.client reads headers as ISO 8859-1, whatever was sent: taken for UTF-8 as it is, a name is not known again
    raw = header.encode("latin-1")
    try:
        return raw.decode().encode()
    except UnicodeDecodeError:
        return header.encode()


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _text(message: Any) -> str:
    # the top level has {"lang", "value"}, details have a string
    value = message.get("value") if isinstance(message, dict) else message
    return value.strip() if isinstance(value, str) else ""
