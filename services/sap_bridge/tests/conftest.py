"""What the tests of the bridge share: settings, a SAP that answers by script, the sandbox, a ledger."""

import functools
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from eventbus.department.ledger import Ledger, utcnow
from eventbus.settings import config_path, load
from sap_bridge import schema
from sap_bridge.booking import Booking, Limits
from sap_bridge.client import SapClient
from sap_bridge.mapping import Mapping
from sap_bridge.settings import SapBridgeSettings, SapSettings
from sap_sandbox.testing import RunningSandbox, running_sandbox
from sqlalchemy.engine import Connection, Engine

from eventbus import database

ROOT = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"


@functools.cache
def shipped_settings(**environ: str) -> SapBridgeSettings:
    """The settings that are shipped, with that environment."""
    return load(SapBridgeSettings, config_path("sap_bridge", {}), environ)


@pytest.fixture
def shipped() -> Callable[..., SapBridgeSettings]:
    return shipped_settings


@pytest.fixture
def settings() -> Callable[..., SapSettings]:
    def settings(url: str = f"http://127.0.0.1:1{ROOT}", **changes: Any) -> SapSettings:
        shipped = shipped_settings().sap
        tables: dict[str, Any] = {name: changes.pop(name) for name in ("sales_areas", "materials") if name in changes}
        mapping = shipped.mapping.model_copy(update=tables)
        return shipped.model_copy(update={"url": url, "mapping": mapping, **changes})

    return settings


@dataclass
class Reply:
    """One answer of the scripted SAP; `act` replaces the answer by something that a network does.

    `meanwhile` is called when the request is there, before it is answered.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    act: str = ""
    meanwhile: Callable[[], None] = lambda: None


@dataclass
class Request:
    """What the scripted SAP received."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


COOKIE = "SAP_SESSIONID_S4H_100=abc; path=/"


class ScriptedSap(ThreadingHTTPServer):
    """A real HTTP server that answers POSTs, logins and look-ups from lists; the last entry is repeated."""

    daemon_threads = True

    def __init__(self) -> None:
        self.posts: list[Reply] = []
        self.logins: list[Reply] = [Reply(200, {"x-csrf-token": "token", "Set-Cookie": COOKIE}, '{"d":{}}')]
        self.look_ups: list[Reply] = [Reply(200, {}, '{"d":{"results":[]}}')]
        self.requests: list[Request] = []
        self.connections = 0
        self.released = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}{ROOT}"

    def received(self, method: str, part: str = "") -> list[Request]:
        return [request for request in self.requests if request.method == method and part in request.path]

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of these tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedSap

    def do_POST(self) -> None:
        self._reply(self.server.posts)

    def do_GET(self) -> None:
        self._reply(self.server.logins if self.path.endswith("/") else self.server.look_ups)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output quiet."""

    def _reply(self, replies: list[Reply]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        lower = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command, self.path, lower, body))
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        reply.meanwhile()
        if reply.act:
            self._act(reply.act)
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        content = reply.body.encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _act(self, act: str) -> None:
        self.close_connection = True
        if act == "silence":
            self.server.released.wait(30)
        elif act == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif act == "half an answer":
            self.wfile.write(b'HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"d":{"Sales')
        else:
            assert act == "hang up"


@pytest.fixture
def sap() -> Iterator[ScriptedSap]:
    server = ScriptedSap()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path) as running:
        yield running


class Clock:
    """The real time, put forward by a test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utcnow() + self.ahead

    def pass_s(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(schema.ledger, clock)


class PlainTransactions:
    """Transactions of a test's own engine, with a crash before or after the commit of a row in a certain state."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.before_commit_of: dict[str, BaseException] = {}
        self.after_commit_of: dict[str, BaseException] = {}

    def run(self, work: Callable[[Connection], Any]) -> Any:
        with self.engine.begin() as connection:
            result = work(connection)
            state = getattr(result, "state", "")
            if state in self.before_commit_of:
                raise self.before_commit_of.pop(state)
        if state in self.after_commit_of:
            raise self.after_commit_of.pop(state)
        return result


@contextmanager
def ledger_database(url: str) -> Iterator[PlainTransactions]:
    engine = database.create_engine(url)
    schema.metadata.create_all(engine)
    yield PlainTransactions(engine)
    engine.dispose()


@pytest.fixture
def transactions(tmp_path: Path) -> Iterator[PlainTransactions]:
    with ledger_database(f"sqlite:///{tmp_path}/ledger.db") as opened:
        yield opened


@pytest.fixture
def open_ledger() -> Callable[[str], Any]:
    return ledger_database


MakeBooking = Callable[..., Booking]


@pytest.fixture
def make_booking(settings: Callable[..., SapSettings], transactions: PlainTransactions) -> Iterator[MakeBooking]:
    """A bridge's booking at that URL; each call is a process of its own to the ledger."""
    clients: list[SapClient] = []

    def make(url: str, ledger: Ledger | None = None, over: PlainTransactions | None = None, **changes: Any) -> Booking:
        handler_s = changes.pop("handler_s", 80.0)
        chosen = settings(url, **changes)
        clients.append(SapClient(chosen))
        limits = Limits(handler_s, chosen.settle_s, chosen.look_up_always)
        return Booking(clients[-1], Mapping(chosen), ledger or Ledger(schema.ledger), over or transactions, limits)

    yield make
    for client in clients:
        client.close()


def sap_error(code: str, text: str, *details: tuple[str, str]) -> str:
    """The body of a refusal, as SAP writes it."""
    inner = {
        "transactionid": "1801B32D512B00C0E0066215B8D723B5",
        "errordetails": [{"code": code, "message": text, "severity": "error"} for code, text in details],
    }
    return json.dumps(
        {"error": {"code": code, "message": {"lang": "en", "value": text}, "innererror": inner}}, ensure_ascii=False
    )


@pytest.fixture(name="sap_error")
def sap_error_fixture() -> Callable[..., str]:
    return sap_error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"start_bridge", "process_environ"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)
