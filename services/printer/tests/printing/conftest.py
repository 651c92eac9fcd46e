"""Databases, real printers, a printer that answers as told, and a proxy that cuts connections."""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from eventbus.contract import OrderCreated
from printer.copies import Reprint
from printer.desk import Desk
from printer.slip import SlipMaker
from printer.testing.cutting_proxy import CuttingProxy
from printer.testing.ippeveprinter import IppEvePrinter
from printer.testing.ippeveprinter import message_bus as a_message_bus
from sqlalchemy.engine import Connection, Engine

from eventbus import database

from .certificates import Certificates
from .cups import CupsServer, Queue
from .scripted_printer import ScriptedPrinter

Result = TypeVar("Result")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"ippeveprinter", "cups", "cups_server", "careful_cups_server"} & {*getattr(item, "fixturenames", ())}:
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


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database, to be copied: migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "printer.db"
    database.upgrade(f"sqlite:///{path}", "printer")
    return path


@pytest.fixture
def desk(tmp_path: Path, migrated_database: Path, makers: dict[str, SlipMaker]) -> Iterator[Desk]:
    """The same, on SQLite alone: where the database does not matter."""
    engine = database.create_engine(f"sqlite:///{shutil.copy(migrated_database, tmp_path / 'printer.db')}")
    yield Desk(Transactions(engine), Slips(makers["a4"]), Reports())
    engine.dispose()


@pytest.fixture(scope="session")
def message_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A D-Bus of our own: ippeveprinter ends without one."""
    with a_message_bus(tmp_path_factory.mktemp("dbus")) as address:
        yield address


@pytest.fixture
def ippeveprinter(message_bus: str, tmp_path: Path) -> Iterator[IppEvePrinter]:
    """A real IPP printer of this test's own."""
    printer = IppEvePrinter(tmp_path / "ippeveprinter", message_bus)
    yield printer
    printer.kill()


@pytest.fixture
def scripted_printer() -> Iterator[Callable[..., ScriptedPrinter]]:
    """Starts printers that give the answers named."""
    with ExitStack() as stack:

        def start(*answers: tuple[int, dict[str, str], bytes]) -> ScriptedPrinter:
            return stack.enter_context(closing(ScriptedPrinter(*answers)))

        yield start


@pytest.fixture
def proxy(ippeveprinter: IppEvePrinter) -> Iterator[CuttingProxy]:
    """A proxy in front of `ippeveprinter`."""
    between = CuttingProxy(ippeveprinter.port)
    yield between
    between.close()


@contextmanager
def _cups_folder() -> Iterator[Path]:
    """CUPS runs its filters as somebody else, who cannot look into pytest's private folders."""
    with tempfile.TemporaryDirectory(prefix="cups-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def shared_cups_server() -> Iterator[CupsServer]:
    """A CUPS server for all tests that do not harm it."""
    with _cups_folder() as folder:
        server = CupsServer(folder)
        yield server
        server.kill()


@pytest.fixture
def cups(shared_cups_server: CupsServer) -> Queue:
    """A printer of this test's own on a CUPS server."""
    return shared_cups_server.queue()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of a CA, of `localhost` by that CA, and of another CA."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def ipps_cups(cups: Queue, certificates: Certificates) -> Queue:
    """`cups` with a certificate of our CA for `localhost`, which it shows on the same port."""
    certificates.install(cups.server.root / "keys")
    return cups


@pytest.fixture
def cups_server() -> Iterator[CupsServer]:
    """A CUPS server of this test's own, which writes down within 30 s what it has accepted."""
    with _cups_folder() as folder:
        server = CupsServer(folder)
        yield server
        server.kill()


@pytest.fixture
def careful_cups_server() -> Iterator[CupsServer]:
    """The same, which writes down at once."""
    with _cups_folder() as folder:
        server = CupsServer(folder, clean_s=0)
        yield server
        server.kill()


@pytest.fixture
def cups_proxy(cups: Queue) -> Iterator[CuttingProxy]:
    """A proxy in front of `cups`."""
    between = CuttingProxy(cups.port, cups.path)
    yield between
    between.close()
