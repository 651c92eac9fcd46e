"""One HTTP request to SAP: no cookie jar, no environment, no redirect, no repeat of anything that SAP may have seen."""

import base64
import io
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
import urllib3
from eventbus.department.http_target import TargetAdapter, kinds_of, open_session
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from sap_bridge.errors import Signal
from sap_bridge.pace import Pace
from sap_bridge.settings import CONNECT_RETRIES, SapSettings

CONNECTION_IDLE_S_MAX = 45.0
"""ICM closes idle connections after 60 s (icm/keep_alive_timeout); what is sent into a closing one may be lost."""
CALL_S_MIN = 1.0
"""With less time left a call is not begun."""


class Transport:
    """Sends requests to the service of the settings, some at a time. Threads and greenlets may share it."""

    def __init__(self, settings: SapSettings, *, idle_s_max: float = CONNECTION_IDLE_S_MAX) -> None:
        self._settings = settings
        self._slots = threading.BoundedSemaphore(settings.max_concurrency)
        self._pace = Pace(settings.max_rps, settings.max_concurrency)
        self._session = open_session(_Adapter(settings.max_concurrency, settings.ca_file, idle_s_max))
        self._session.headers.update(_headers(settings))

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout_s: float,
        deadline: float,
        before_sending: Callable[[], None] = lambda: None,
    ) -> tuple[Signal, list[str]]:
        """What came back, read wholly, and its `Set-Cookie` headers. Never raises for what the network does.

        Args:
            method: GET or POST.
            path: what follows the service's root, with its query.
            headers: besides those of every request.
            body: JSON.
            timeout_s: longest silence of SAP.
            deadline: of `time.monotonic()`; the call is not begun, or cut short, where that comes first.
            before_sending: called when the connection is there and nothing has left, of a request with a body. What it
                raises ends the call.
        """
        if not self._slots.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return Signal(None, failure="not sent: no free slot in time", sent=False), []
        try:
            in_time = self._pace.wait(deadline - CALL_S_MIN)
            left_s = deadline - time.monotonic()
            if not in_time or left_s < CALL_S_MIN:
                return Signal(None, failure="not sent: no time left", sent=False), []
            stream = None if body is None else _Body(body, before_sending)
            return self._exchange(method, path, headers, stream, min(timeout_s, left_s))
        finally:
            self._slots.release()

    def away_s(self) -> float:
        """See `Pace`."""
        return self._pace.away_s()

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], stream: "_Body | None", read_s: float
    ) -> tuple[Signal, list[str]]:
        try:
            answer = self._session.request(
                method,
                f"{self._settings.url}{path}",
                headers=dict(headers),
                data=stream,
                timeout=(self._settings.connect_timeout_s, read_s),
                allow_redirects=False,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return Signal(None, failure=f"no answer: {kinds_of(error)}", sent=stream is not None and stream.touched), []
        lower = {name.lower(): value for name, value in answer.headers.items()}
        return Signal(answer.status_code, lower, answer.content), answer.raw.headers.getlist("Set-Cookie")


class _Body(io.BytesIO):
    """A request's body that knows whether any of it was sent. Before that a failed request surely had no effect."""

    touched = False

    def __init__(self, content: bytes, before_sending: Callable[[], None]) -> None:
        super().__init__(content)
        self.before_sending = before_sending

    def read(self, size: int | None = -1, /) -> bytes:
        self.touched = True
        return super().read(size)


class _Connection:
    """Part of a connection: it tells a body when it is about to send, and counts as dropped when it was idle for too
    long, so that the pool opens a new one.
    """

    idle_s_max = CONNECTION_IDLE_S_MAX
    _answered_at: float | None = None
    sock: Any

    def request(self, method: str, url: str, body: Any = None, *args: Any, **options: Any) -> None:
        if isinstance(body, _Body):
            if self.sock is None:
                self.connect()  # type: ignore[attr-defined]
            body.before_sending()
        super().request(method, url, body, *args, **options)  # type: ignore[misc]

    def getresponse(self) -> Any:
        try:
            return super().getresponse()  # type: ignore[misc]
        finally:
            self._answered_at = time.monotonic()

    @property
    def is_connected(self) -> bool:
        fresh = self._answered_at is None or time.monotonic() - self._answered_at < self.idle_s_max
        return fresh and super().is_connected  # type: ignore[misc]


class _Adapter(TargetAdapter):
    """Recycles each connection before SAP closes it."""

    def __init__(self, size: int, ca_file: str | None, idle_s_max: float) -> None:
        self._idle_s_max = idle_s_max
        # `other` and the respect for Retry-After have to be turned off by name: both would repeat a sent request
        retries = urllib3.Retry(
            connect=CONNECT_RETRIES, read=False, redirect=0, status=0, other=0, respect_retry_after_header=False
        )
        super().__init__(size, ca_file=ca_file, retries=retries)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        limit = {"idle_s_max": self._idle_s_max}
        http = type("_HTTP", (_Connection, HTTPConnection), limit)
        https = type("_HTTPS", (_Connection, HTTPSConnection), limit)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("_HTTPPool", (HTTPConnectionPool,), {"ConnectionCls": http}),
            "https": type("_HTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": https}),
        }


def _headers(settings: SapSettings) -> dict[str, str]:
    login = f"{settings.user}:{settings.password.get_secret_value()}".encode()
    headers = {
        "Authorization": f"Basic {base64.b64encode(login).decode()}",
        "Accept": "application/json",
        "Accept-Language": settings.language,
        "User-Agent": "order-bus-sap-bridge",
    }
    if settings.client:
        headers["sap-client"] = settings.client
    return headers
