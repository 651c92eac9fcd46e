"""Who is calling: Basic authentication, the client, the security session and its CSRF token."""

import base64
import binascii
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from sap_sandbox.errors import csrf_required, logon_failed, overloaded
from sap_sandbox.sessions import Session, Sessions, TooManySessionsError
from sap_sandbox.settings import SandboxSettings
from sap_sandbox.statistics import Statistics

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class LoggedOn:
    """A caller with a session. `is_new`: it was made for this call, its cookie goes out with the answer."""

    session: Session
    is_new: bool


class Logon:
    """Lets callers in, and keeps their sessions."""

    def __init__(self, settings: SandboxSettings, sessions: Sessions, statistics: Statistics) -> None:
        self._settings, self._sessions, self._statistics = settings, sessions, statistics
        self._cookie = f"SAP_SESSIONID_{settings.system_id}_{settings.client}"

    def log_on(self, request: Request) -> LoggedOn:
        """The caller's session: the one of its cookie, or a new one where none or a dead one is presented.

        A living session needs no credentials; wrong ones are refused all the same.

        Raises:
            PlainError: 401, wrong client or credentials; 503, no session is free.
        """
        settings = self._settings
        client = request.headers.get("sap-client") or request.query_params.get("sap-client") or settings.client
        session = self._sessions.find(request.cookies.get(self._cookie, ""))
        authorization = request.headers.get("authorization")
        is_let_in = self._credentials_fit(authorization) if authorization else session is not None
        if client != settings.client or not is_let_in:
            raise logon_failed(settings.system_id, settings.client)
        if session is not None:
            return LoggedOn(session, is_new=False)
        try:
            session = self._sessions.create()
        except TooManySessionsError as error:
            raise overloaded(str(error)) from None
        self._statistics.logins += 1
        return LoggedOn(session, is_new=True)

    def check_csrf(self, request: Request, caller: LoggedOn) -> None:
        """Refuse a write whose token is not the one of its session.

        Raises:
            PlainError: 403 with `x-csrf-token: Required`.
        """
        if request.method in SAFE_METHODS:
            return
        token = request.headers.get("x-csrf-token", "")
        if not secrets.compare_digest(token.encode(), caller.session.token.encode()):
            self._statistics.csrf_refusals += 1
            raise csrf_required()

    def finish(self, request: Request, caller: LoggedOn, response: Response) -> None:
        """Add a new session's cookies to the answer, and the token where it is asked for."""
        if caller.is_new:
            response.headers.append("set-cookie", f"{self._cookie}={caller.session.id}; path=/; HttpOnly")
            response.headers.append("set-cookie", f"sap-usercontext=sap-client={self._settings.client}; path=/")
        if request.method in SAFE_METHODS and request.headers.get("x-csrf-token", "").lower() == "fetch":
            self._statistics.token_fetches += 1
            response.headers["x-csrf-token"] = caller.session.token

    def undo(self, caller: LoggedOn) -> None:
        """Forget a session that was made for this call: another answer than SAP's goes out, without its cookie."""
        if caller.is_new:
            self._sessions.end(caller.session)
            self._statistics.logins -= 1

    def end_all_sessions(self) -> None:
        """End all sessions."""
        self._sessions.expire_all()

    def _credentials_fit(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            presented = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        user, _, password = presented.partition(b":")
        expected_user, expected_password = self._settings.user.encode(), self._settings.password.encode()
        user_fits = secrets.compare_digest(user.upper(), expected_user.upper())
        return secrets.compare_digest(password, expected_password) and user_fits
