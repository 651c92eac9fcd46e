"""What a client gets when a fault strikes."""

import email.utils
import http.client
import math
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from sap_sandbox.connections import BrokenOff, CutShort, Ending
from sap_sandbox.errors import BadRequestError, ODataError, PlainError, csrf_required, logon_failed
from sap_sandbox.faults.rule import BodyForm, RetryAfterForm, Rule
from sap_sandbox.messages import Sim
from sap_sandbox.settings import SandboxSettings

LOGON_PAGE = "/_sim/logon-page"
"""A client that follows the redirect gets 200 and HTML: no success."""
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)


def instead(rule: Rule, request: Request, settings: SandboxSettings) -> Response | None:
    """The answer in place of SAP's; None where the fault lets SAP answer (late, or about sessions)."""
    answer = _INSTEAD.get(rule.fault)
    return answer(rule, request, settings) if answer else None


def afterwards(rule: Rule, booked: Response) -> Response:
    """The answer in place of `booked`, the 201 of an order that is on disk."""
    answer = _AFTERWARDS.get(rule.fault)
    return answer(rule, booked) if answer else booked


def logon_page() -> Response:
    """A page for people, with 200."""
    return _page(HTTPStatus.OK, "Logon")


def _page(status: int, text: str = "", headers: dict[str, str] | None = None) -> Response:
    if status in _WITHOUT_BODY:
        return Response(status_code=status, headers=headers)
    page = f"<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
    return Response(page, status, headers, "text/html")


def _any_status(rule: Rule, status: int) -> Response:
    if rule.body_as is BodyForm.SAP and status not in _WITHOUT_BODY:
        answer = ODataError(status, Sim.REFUSED_BY_RULE.error(status=status)).response()
        answer.headers.update(_retry_after(rule))
        return answer
    text = f"{status} {http.client.responses.get(status, '')}".rstrip()
    if rule.body_as is BodyForm.TEXT and status not in _WITHOUT_BODY:
        return Response(text, status, _retry_after(rule), "text/plain")
    return _page(status, text, _retry_after(rule))


def _retry_after(rule: Rule) -> dict[str, str]:
    if rule.retry_after is None:
        return {}
    if rule.retry_after_as is RetryAfterForm.SECONDS:
        return {"Retry-After": str(rule.retry_after)}
    moment = math.ceil(time.time()) + rule.retry_after  # a date has whole seconds: never earlier than asked
    return {"Retry-After": email.utils.formatdate(moment, usegmt=True)}


def _lock(_rule: Rule, _request: Request, settings: SandboxSettings) -> Response:
    return BadRequestError(Sim.LOCKED.error("SoldToParty", user=settings.user.upper())).response()


def _logon_failed(_rule: Rule, _request: Request, settings: SandboxSettings) -> Response:
    return logon_failed(settings.system_id, settings.client).response()


def _redirect(_rule: Rule, request: Request, _settings: SandboxSettings) -> Response:
    return Response(
        status_code=HTTPStatus.FOUND, headers={"Location": str(request.url.replace(path=LOGON_PAGE, query=""))}
    )


def _forbidden(_rule: Rule, _request: Request, _settings: SandboxSettings) -> Response:
    return PlainError(HTTPStatus.FORBIDDEN, "No authorization for this service", {}).response()


def _status(status: int) -> "_Instead":
    return lambda rule, _request, _settings: _any_status(rule, status)


def _bare(_rule: Rule, booked: Response) -> Response:
    return Response(status_code=HTTPStatus.CREATED, headers={"Location": booked.headers["location"]})


def _garbled(_rule: Rule, booked: Response) -> Response:
    return Response(bytes(booked.body)[: len(booked.body) // 2], HTTPStatus.CREATED, media_type="application/json")


_Instead = Callable[[Rule, Request, SandboxSettings], Response]

_INSTEAD: dict[str, _Instead] = {
    "drop-before-commit": lambda *_: BrokenOff(Ending.CLOSED),
    "reset-before-commit": lambda *_: BrokenOff(Ending.RESET),
    "500-before-commit": _status(500),
    "html-502": _status(502),
    "429": _status(429),
    "503": _status(503),
    "lock": _lock,
    "lock-423": _status(423),
    "401": _logon_failed,
    "403": _forbidden,
    "csrf-required": lambda *_: csrf_required().response(),
    "redirect": _redirect,
    "status": lambda rule, _request, _settings: _any_status(rule, rule.status or 0),
}

_AFTERWARDS: dict[str, Callable[[Rule, Response], Response]] = {
    "commit-then-drop": lambda *_: BrokenOff(Ending.CLOSED),
    "commit-then-reset": lambda *_: BrokenOff(Ending.RESET),
    "commit-then-cut": lambda _rule, booked: CutShort(booked),
    "commit-then-garbled": _garbled,
    "commit-then-bare": _bare,
    "commit-then-504": lambda rule, _booked: _any_status(rule, 504),
    "status": lambda rule, _booked: _any_status(rule, rule.status or 0),
}
