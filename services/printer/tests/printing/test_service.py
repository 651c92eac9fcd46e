"""The department: its handler alone, and as a process on a real broker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventbus.department import Done
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event, an_order
from eventbus.testing.department_process import DepartmentProcess, Reports
from eventbus.testing.waiting import wait_until
from nameko.testing.services import worker_factory
from printer.folder import SlipFolder
from printer.folder_printer import FolderPrinter
from printer.service import PrinterService
from printer.testing.cutting_proxy import CuttingProxy
from printer.testing.ippeveprinter import IppEvePrinter

from .certificates import Certificates
from .cups import Queue
from .steps import DEADLINE_S

TARGET = "printer.service:PrinterService"
Start = Callable[..., DepartmentProcess]


def test_handler_prints_the_slip_of_the_order(desk: Any, tmp_path: Path) -> None:
    service = worker_factory(
        PrinterService,
        db=desk.transactions,
        slips=desk.slips,
        results=desk.results,
        printer=FolderPrinter(SlipFolder(tmp_path)),
    )
    event = an_event()
    assert service.print_packing_slip(event) == Done(f"{event.subject}.pdf")
    service.follow()
    assert (tmp_path / f"{event.subject}.pdf").exists()


@pytest.fixture
def start(broker: Broker, tmp_path: Path) -> Any:
    """Starts printer departments on the test's broker."""
    broker.declare_shared()
    started: list[DepartmentProcess] = []

    def start_one(printer_uri: str, **more: Any) -> DepartmentProcess:
        settings = {
            "department": "printer",
            "database_url": f"sqlite:///{tmp_path / 'printer.db'}",
            "printer_uri": printer_uri,
            "breaker_open_s": 0.3,
            "breaker_open_max_s": 0.5,
            **more,
        }
        started.append(DepartmentProcess(broker, TARGET, tmp_path / f"printer-{len(started)}", settings))
        return started[-1]

    yield start_one
    for process in started:
        if process.process.poll() is None:
            process.kill()


def publish(broker: Broker, count: int = 1, **fields: Any) -> list[str]:
    """Publishes orders; their numbers."""
    orders = [an_order(**fields) for _ in range(count)]
    for order in orders:
        broker.publish(an_event(order), f"order.created.{order.region}")
    return [order.order_number for order in orders]


def test_orders_become_one_file_each_and_are_reported_done(broker: Broker, start: Start, tmp_path: Path) -> None:
    reports = Reports(broker)
    process = start(f"file://{tmp_path}/slips").wait_ready()
    numbers = publish(broker, 10, customer_name="Ærøskøbing Secret")
    wait_until(lambda: all(reports.of(number) == ["done"] for number in numbers))
    assert sorted(path.name for path in (tmp_path / "slips").iterdir()) == sorted(f"{n}.pdf" for n in numbers)
    assert reports.last(numbers[0]).reference == f"{numbers[0]}.pdf"
    assert process.metric('printer_slips_total{end="printed"}') == 10
    assert process.stop() == 0
    assert "Secret" not in process.output()


def test_department_killed_amid_its_work_leaves_one_file_for_each_order(
    broker: Broker, start: Start, tmp_path: Path
) -> None:
    reports = Reports(broker)
    process = start(f"file://{tmp_path}/slips").wait_ready()
    numbers = publish(broker, 40)
    wait_until(lambda: list((tmp_path / "slips").glob("*.pdf")))
    process.kill()
    start(f"file://{tmp_path}/slips").wait_ready()
    wait_until(lambda: all("done" in reports.of(number) for number in numbers), 30)
    assert sorted(path.name for path in (tmp_path / "slips").glob("*.pdf")) == sorted(f"{n}.pdf" for n in numbers)


def test_orders_are_printed_once_over_ipp_and_reported_when_on_paper_though_the_department_is_killed(
    broker: Broker, start: Start, ippeveprinter: Any
) -> None:
    reports = Reports(broker)
    process = start(ippeveprinter.uri).wait_ready()
    ippeveprinter.hold()
    numbers = publish(broker, 3)
    wait_until(lambda: process.entries("in hand"), DEADLINE_S)
    assert not any(reports.of(number) for number in numbers), "accepted is not printed"
    process.kill()
    ippeveprinter.go_on()
    start(ippeveprinter.uri).wait_ready()
    wait_until(lambda: all("done" in reports.of(number) for number in numbers), DEADLINE_S)
    assert ippeveprinter.papers() == sorted(numbers)
    assert reports.last(numbers[0]).reference.startswith("job ")


def test_printer_that_is_off_at_start_is_no_error_and_work_waits(
    broker: Broker, start: Start, ippeveprinter: Any
) -> None:
    reports = Reports(broker)
    ippeveprinter.kill()
    start(ippeveprinter.uri).wait_ready()
    (number,) = publish(broker)
    wait_until(lambda: reports.of(number) == ["waiting"])
    ippeveprinter.start()
    wait_until(lambda: reports.of(number) == ["waiting", "done"], 30)
    assert ippeveprinter.papers() == [number]


def test_folder_that_cannot_be_used_ends_the_start_with_one_line(broker: Broker, start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = start(f"file://{tmp_path}/file/slips")
    assert process.process.wait(30) == 78
    (line,) = [line for line in process.output().splitlines() if line.startswith("configuration:")]
    assert "PRINTER_URI: expected a folder, or a name in one, that can be written and linked in" in line


def test_stopped_printer_at_an_ipps_address_pauses_the_department_which_says_why(
    broker: Broker, start: Start, ipps_cups: Queue, certificates: Certificates
) -> None:
    reports = Reports(broker)
    process = start(ipps_cups.uri.replace("ipp:", "ipps:"), printer_ca=str(certificates.ca_file)).wait_ready()
    ipps_cups.stop()
    numbers = publish(broker)
    wait_until(lambda: process.metric("printer_waits_for_person") == 1, DEADLINE_S)
    numbers += publish(broker)
    wait_until(lambda: process.condition().get("paused_by") == "printer: paused", DEADLINE_S)
    assert process.condition()["status"] == "ready"
    assert process.metric('bus_paused{department="printer"}') == 1
    assert any(entry["reason"] == "paused" for entry in process.entries("the printer waits for a person"))
    ipps_cups.start()
    wait_until(lambda: all(reports.of(number) == ["done"] for number in numbers), DEADLINE_S)
    assert ipps_cups.papers() == sorted(numbers)
    wait_until(lambda: process.metric("printer_waits_for_person") == 0, DEADLINE_S)


def test_printer_that_takes_no_pdf_ends_the_start_with_one_line(
    broker: Broker, start: Start, ippeveprinter: IppEvePrinter
) -> None:
    ippeveprinter.kill()
    ippeveprinter.start(formats="image/jpeg")
    process = start(ippeveprinter.uri)
    assert process.process.wait(DEADLINE_S) == 78
    (line,) = [line for line in process.output().splitlines() if line.startswith("configuration:")]
    assert "PRINTER_URI: expected a printer that takes application/pdf, got one for" in line
    assert "image/jpeg" in line


def test_printer_that_wants_a_login_pauses_the_department_which_works_once_it_has_one(
    broker: Broker, start: Start, cups: Queue, cups_proxy: CuttingProxy
) -> None:
    reports = Reports(broker)
    cups_proxy.require_login("printer", "secret")
    process = start(cups_proxy.uri).wait_ready()
    (number,) = publish(broker)
    wait_until(lambda: "PRINTER_PASSWORD" in (process.condition().get("paused_by") or ""), DEADLINE_S)
    assert process.stop() == 0
    process = start(cups_proxy.uri, printer_user="printer", printer_password="secret").wait_ready()
    wait_until(lambda: reports.of(number) == ["done"], DEADLINE_S)
    assert cups.papers() == [number]
    assert "secret" not in process.output()
