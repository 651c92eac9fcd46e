"""Databases, an IPP printer, a printer that answers as told, and a proxy that cuts connections."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from eventbus.contract import OrderCreated
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until
from printer.copies import Reprint
from printer.desk import Desk
from printer.ipp_client import IppPrinter
from printer.ipp_message import Tag
from printer.ipp_transport import IppTransport, Operation
from printer.slip import SlipMaker
from sqlalchemy.engine import Connection, Engine

from eventbus import database

Result = TypeVar("Result")

IPPEVEPRINTER = shutil.which("ippeveprinter", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ippeveprinter"
"""Debian keeps it where only root's PATH looks."""


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "ippeveprinter" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.printer)


@pytest.fixture
def text_of() -> Callable[[Path], str]:
    """What stands on a paper."""
    return lambda path: subprocess.check_output(["pdftotext", "-layout", path, "-"], text=True)


class Transactions:
    """Transactions of a test's own, without eventlet."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.begin() as connection:
            return work(connection)


@pytest.fixture
def transactions(database_url: str) -> Iterator[Transactions]:
    """A migrated database, on SQLite and on PostgreSQL."""
    database.upgrade(database_url, "printer")
    engine = database.create_engine(database_url)
    yield Transactions(engine)
    engine.dispose()


class Reports:
    """Takes results in place of the broker."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def publish(self, **report: Any) -> None:
        self.published.append(report)

    def states(self, order_number: str) -> list[str]:
        return [report["state"] for report in self.published if report["order_number"] == order_number]


class Slips:
    """Makes A4 slips, one at a time."""

    def __init__(self, maker: SlipMaker) -> None:
        self._maker = maker
        self._turn = threading.Lock()

    def render(self, order: OrderCreated, note: str | None = None, reprint: Reprint | None = None) -> bytes:
        with self._turn:
            return self._maker.render(order, note, reprint)


@pytest.fixture
def any_desk(transactions: Transactions, makers: dict[str, SlipMaker]) -> Desk:
    """A desk whose results are in `desk.results.published`, on SQLite and on PostgreSQL."""
    return Desk(transactions, Slips(makers["a4"]), Reports())


@pytest.fixture
def desk(tmp_path: Path, makers: dict[str, SlipMaker]) -> Iterator[Desk]:
    """The same, on SQLite alone: where the database does not matter."""
    url = f"sqlite:///{tmp_path / 'printer.db'}"
    database.upgrade(url, "printer")
    engine = database.create_engine(url)
    yield Desk(Transactions(engine), Slips(makers["a4"]), Reports())
    engine.dispose()


PRINT_COMMAND = """#!/bin/sh
for file; do :; done
while [ -e {folder}/hold ]; do sleep 0.02; done
for abort in {folder}/abort.*; do [ -e "$abort" ] && rm "$abort" && exit 1; done
case "$(tail -c 8 "$file")" in *%%EOF*) ;; *) exit 1;; esac
paper={folder}/papers/"$IPP_JOB_NAME"."$$"
cp "$file" "$paper.part" && mv "$paper.part" "$paper.pdf"
"""


class IppEvePrinter:
    """CUPS's `ippeveprinter` on a free port. Its papers are files; a document that is cut off is refused."""

    def __init__(self, folder: Path, bus: str) -> None:
        self.folder = folder
        self._bus = bus
        (folder / "papers").mkdir(parents=True)
        (folder / "spool").mkdir()
        self._command = folder / "print"
        self._command.write_text(PRINT_COMMAND.format(folder=folder))
        self._command.chmod(0o755)
        for _ in range(5):  # somebody may take a free port before we do
            self.port = free_port()
            if self._start("application/pdf"):
                return
        raise AssertionError((folder / "log").read_text())

    @property
    def uri(self) -> str:
        return f"ipp://localhost:{self.port}/ipp/print"

    def start(self, formats: str = "application/pdf") -> None:
        """Start it again, where it was."""
        wait_until(lambda: self._start(formats), what="the printer starts again")

    def _start(self, formats: str) -> bool:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [IPPEVEPRINTER, "-r", "off", "-p", str(self.port), "-n", "localhost", "-d", self.folder / "spool",
                 "-f", formats, "-c", self._command, "Test"],
                env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self._bus},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: self._listens() or self._process.poll() is not None, what="the printer listens or ends")
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once, with what it is printing. Started again it has forgotten all jobs."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def papers(self) -> list[str]:
        """The names of the jobs on paper, one for each time."""
        return sorted(path.name.rsplit(".", 2)[0] for path in (self.folder / "papers").glob("*.pdf"))

    def paper(self, name: str) -> Path:
        """The paper of that job."""
        (path,) = (self.folder / "papers").glob(f"{name}.*.pdf")
        return path

    def hold(self) -> None:
        """Print nothing until `go_on`."""
        (self.folder / "hold").touch()

    def go_on(self) -> None:
        (self.folder / "hold").unlink()

    def abort_next(self) -> None:
        """Abort one more of the next jobs that would be printed."""
        tempfile.mkstemp(prefix="abort.", dir=self.folder)

    def accept_half_documents(self) -> None:
        """Print whatever arrived, as ippeveprinter does by itself."""
        self._command.write_text(
            f'#!/bin/sh\nfor file; do :; done\ncp "$file" {self.folder}/papers/"$IPP_JOB_NAME".1.pdf'
        )

    def empty_tray(self) -> None:
        """No paper is left, as its web page would say; only a restart fills the tray."""
        query = "size1=na_letter_8.5x11in&type1=stationery&level1=0&size3=&type3=&level3=0"
        requests.get(f"http://localhost:{self.port}/media?{query}", timeout=5).raise_for_status()

    def cancel(self, job_id: int) -> None:
        """Cancel the job, as a person would."""
        IppTransport(self.uri, 1).call(Operation.CANCEL_JOB, {"job-id": (Tag.INTEGER, job_id)})

    def client(self) -> IppPrinter:
        return IppPrinter(self.uri, connections=4)

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("localhost", self.port)) == 0


@pytest.fixture(scope="session")
def message_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A D-Bus of our own: ippeveprinter ends without one."""
    address = f"unix:path={tmp_path_factory.mktemp('dbus') / 'bus'}"
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", f"--address={address}", "--nofork", "--nopidfile"], stderr=subprocess.DEVNULL
    )
    wait_until(Path(address.partition("=")[2]).exists, what="the message bus listens")
    yield address
    daemon.terminate()
    daemon.wait()


@pytest.fixture
def ippeveprinter(message_bus: str, tmp_path: Path) -> Iterator[IppEvePrinter]:
    """A real IPP printer of this test's own."""
    printer = IppEvePrinter(tmp_path / "ippeveprinter", message_bus)
    yield printer
    printer.kill()


class ScriptedPrinter:
    """Speaks HTTP and gives the answers that a test names, in turn; the last one again and again."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.requests: list[bytes] = []
        script = list(answers)
        printer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                printer.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, body = script.pop(0) if len(script) > 1 else script[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("localhost", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.uri = f"ipp://localhost:{self._server.server_port}/ipp/print"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def scripted_printer() -> Iterator[Callable[..., ScriptedPrinter]]:
    """Starts printers that give the answers named."""
    with ExitStack() as stack:

        def start(*answers: tuple[int, dict[str, str], bytes]) -> ScriptedPrinter:
            return stack.enter_context(closing(ScriptedPrinter(*answers)))

        yield start


class CuttingProxy:
    """Stands between us and the printer, and cuts connections at IPP operations that a test names."""

    def __init__(self, port: int) -> None:
        self._target = ("localhost", port)
        self._listener = socket.create_server(("localhost", 0))
        self.uri = f"ipp://localhost:{self._listener.getsockname()[1]}/ipp/print"
        self._swallow: list[int] = []
        self._cut: list[int] = []
        self._status: dict[tuple[int, bytes], int] = {}
        self._delay: list[int] = []
        self.arrived = threading.Event()
        self.go_on = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow_answer(self, operation: int) -> None:
        """The next such request arrives whole; its answer does not."""
        self._swallow.append(operation)

    def cut_request(self, operation: int) -> None:
        """The next such request is cut before its last bytes."""
        self._cut.append(operation)

    def answer(self, operation: int, status: int, job_id: int | None = None) -> None:
        """Every such request, of that job, has this answer and does not reach the printer."""
        named = b"" if job_id is None else b"\x21\x00\x06job-id\x00\x04" + job_id.to_bytes(4)
        self._status[operation, named] = status

    def answer_itself(self) -> None:
        """All requests reach the printer again."""
        self._status.clear()

    def delay(self, operation: int) -> None:
        """The next such request has `arrived` and reaches the printer at `go_on`."""
        self._delay.append(operation)

    def close(self) -> None:
        self.go_on.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            while request := _read_message(client):
                operation = request.body[3] if len(request.body) > 3 else -1
                if told := [s for (op, job), s in self._status.items() if op == operation and job in request.body]:
                    body = b"\x02\x00" + told[0].to_bytes(2) + b"\x00\x00\x00\x01\x03"
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    continue
                if operation in self._delay:
                    self._delay.remove(operation)
                    self.arrived.set()
                    self.go_on.wait(30)
                if operation in self._cut:
                    self._cut.remove(operation)
                    server.sendall(request.head + request.body[:-100])
                    return
                server.sendall(request.head + request.body)
                answer = _read_message(server)
                if operation in self._swallow:
                    self._swallow.remove(operation)
                    return
                if answer is None:
                    return
                client.sendall(answer.head + answer.body)


class _Message:
    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body


def _read_message(connection: socket.socket) -> _Message | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    head += b"\r\n\r\n"
    headers = head.decode("latin-1").lower()
    if "transfer-encoding: chunked" in headers:
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
        return _Message(head, body)
    length = next(
        (int(line.partition(":")[2]) for line in headers.splitlines() if line.startswith("content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return _Message(head, body)


@pytest.fixture
def proxy(ippeveprinter: IppEvePrinter) -> Iterator[CuttingProxy]:
    """A proxy in front of `ippeveprinter`."""
    between = CuttingProxy(ippeveprinter.port)
    yield between
    between.close()
