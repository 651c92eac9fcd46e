"""A receiver that answers by script, and the collector as a process."""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import DepartmentProcess
from marketing.collector.receiver import Receiver
from marketing.collector.settings import CollectorSettings


@dataclass(frozen=True)
class Reply:
    """One answer; without a status the connection is cut."""

    status: int | None = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Request:
    """What came. `connection` tells over which."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: object

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedReceiver:
    """Answers requests with the replies of the script, one after the other, and with its last one from then on."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.requests: list[Request] = []
        self.script: list[Reply] = [Reply()]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append(Request(self.path, headers, body, self.client_address))
                reply = receiver.script.pop(0) if len(receiver.script) > 1 else receiver.script[0]
                if reply.status is None:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.status != 204:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST  # noqa: N815 - a followed redirect would come as one

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/orders?shop=1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def receiver() -> Iterator[ScriptedReceiver]:
    """A receiver that takes everything until the test says otherwise."""
    server = ScriptedReceiver()
    yield server
    server.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine that nobody but itself has signed, with its key."""
    file = tmp_path / "own.pem"
    subject = ("-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    command = ["openssl", "req", "-x509", *key, *subject, "-days", "2", "-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def secure_receiver(certificate: Path) -> Iterator[ScriptedReceiver]:
    """A receiver with that certificate."""
    server = ScriptedReceiver(certificate)
    yield server
    server.close()


@pytest.fixture
def client() -> Iterator[Callable[..., Receiver]]:
    """The dependency of the handler, set up with these settings."""
    made: list[Receiver] = []

    def client(url: str, **settings: Any) -> Receiver:
        defaults: dict[str, Any] = {
            "department": "marketing_collector",
            "amqp_url": "amqp://127.0.0.1",
            "health_port": 0,
            "url": url,
        }

        class Container:
            config = {"settings": CollectorSettings.model_validate(defaults | settings)}  # noqa: RUF012

        dependency = Receiver()
        dependency.container = Container()
        dependency.setup()
        made.append(dependency)
        return dependency

    yield client
    for dependency in made:
        dependency.stop()


@pytest.fixture
def start_collector(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., DepartmentProcess]]:
    """Starts the collector as a process; settings as keywords."""
    started: list[DepartmentProcess] = []
    broker.declare_shared()

    def start(url: str, **settings: Any) -> DepartmentProcess:
        defaults = {"department": "marketing_collector", "url": url, "breaker_open_s": 0.5, "breaker_open_max_s": 0.5}
        process = DepartmentProcess(
            broker, "marketing.collector.service:CollectorService", tmp_path / "collector", defaults | settings
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that start a process."""
    for item in items:
        if "start_collector" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.process)
