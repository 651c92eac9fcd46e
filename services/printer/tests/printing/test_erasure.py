"""A customer's name is kept for a reprint, and no longer."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eventbus.contract import Event, OrderCreated
from eventbus.department import Blocked, Done
from eventbus.department.ledger import utcnow
from eventbus.testing.builders import an_event
from printer.desk import Desk
from printer.erasure import forget, forget_older
from printer.folder import SlipFolder
from printer.folder_printer import FolderPrinter
from printer.records import FINAL, FOLDER_LEASE_S, Records
from printer.reprint import RefusedError, ask_for_reprint, copies_of
from printer.retention import Retention
from printer.tables import metadata, slip_orders
from sqlalchemy.engine import Connection

from .steps import a_queue


@pytest.fixture
def printer(tmp_path: Path) -> FolderPrinter:
    return FolderPrinter(SlipFolder(tmp_path / "slips"))


def printed(printer: FolderPrinter, desk: Desk, **fields: Any) -> Event[OrderCreated]:
    event = an_event(**fields)
    printer.print_once(event, desk)
    return event


def everything_in(desk: Any) -> str:
    """All rows of all tables."""
    with desk.transactions.engine.connect() as connection:
        return str([connection.execute(table.select()).all() for table in metadata.sorted_tables])


def test_forgotten_order_leaves_neither_name_nor_reason_and_is_not_reprinted(
    printer: FolderPrinter, any_desk: Any
) -> None:
    event = printed(printer, any_desk, customer_name="Secret Name")
    ask_for_reprint(any_desk.transactions, event.subject, "Mr Secret called")
    printer.follow(any_desk)
    assert "Secret" in everything_in(any_desk)
    assert forget(any_desk.transactions, event.subject.lower()) == (event.subject, True)
    assert "Secret" not in everything_in(any_desk)
    assert forget(any_desk.transactions, event.subject) == (event.subject, False)
    with pytest.raises(RefusedError, match="what stood on its slip was erased"):
        ask_for_reprint(any_desk.transactions, event.subject, "torn")
    assert copies_of(any_desk.transactions, event.subject).kept_since is None


def test_old_event_of_a_forgotten_order_is_not_printed_again(printer: FolderPrinter, desk: Any) -> None:
    event = printed(printer, desk, customer_name="Secret Name")
    forget(desk.transactions, event.subject)
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")
    assert "Secret" not in everything_in(desk)


def test_slip_that_waits_for_its_event_is_printed_after_it_was_forgotten(tmp_path: Path, desk: Any) -> None:
    folder, event = tmp_path / "missing" / "slips", an_event()
    printer = FolderPrinter(SlipFolder(folder))
    with pytest.raises(Blocked):
        printer.print_once(event, desk)
    assert forget(desk.transactions, event.subject) == (event.subject, True)
    folder.parent.mkdir()
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")


def test_slip_that_the_printer_has_is_not_forgotten(ippeveprinter: Any, desk: Any) -> None:
    event = an_event()
    ippeveprinter.hold()
    a_queue(ippeveprinter.uri).print_once(event, desk)
    with pytest.raises(RefusedError, match="its slip is on its way"):
        forget(desk.transactions, event.subject)
    assert forget_older(desk.transactions, utcnow() + timedelta(days=1)) == 0
    ippeveprinter.go_on()


def test_slips_older_than_the_setting_are_forgotten_and_waiting_reprints_are_not(
    printer: FolderPrinter, any_desk: Any
) -> None:
    events = [printed(printer, any_desk) for _ in range(3)]
    ask_for_reprint(any_desk.transactions, events[0].subject, "torn")
    assert forget_older(any_desk.transactions, utcnow() - timedelta(hours=1)) == 0
    assert forget_older(any_desk.transactions, utcnow() + timedelta(hours=1)) == 2
    kept = [copies_of(any_desk.transactions, event.subject).kept_since is not None for event in events]
    assert kept == [True, False, False]


class Paused:
    """Transactions that end when the test lets them."""

    def __init__(self, inner: Any) -> None:
        self.engine = inner.engine
        self.has_worked = threading.Event()
        self.may_end = threading.Event()

    def run(self, work: Callable[[Connection], Any]) -> Any:
        with self.engine.begin() as connection:
            result = work(connection)
            self.has_worked.set()
            assert self.may_end.wait(30)
            return result


def test_slip_whose_reprint_is_being_asked_for_is_not_forgotten(printer: FolderPrinter, any_desk: Any) -> None:
    """Whoever is second waits for the first, and sees what it did."""
    event = printed(printer, any_desk)
    asking, ended = Paused(any_desk.transactions), []

    def forget_it() -> None:
        with pytest.raises(RefusedError, match="its slip is on its way"):
            forget(any_desk.transactions, event.subject)
        ended.append(True)

    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(ask_for_reprint, asking, event.subject, "torn")
        assert asking.has_worked.wait(30)
        forgetting = threads.submit(forget_it)
        with suppress(TimeoutError):
            forgetting.result(0.3)
        assert not ended, "it waits"
        asking.may_end.set()
        forgetting.result(30)
        assert asked.result(30).copy == 2
    assert copies_of(any_desk.transactions, event.subject).kept_since is not None


def test_department_forgets_slips_after_as_many_days_as_its_settings_say(printer: FolderPrinter, any_desk: Any) -> None:
    retention = Retention()
    retention.container = SimpleNamespace(config={"settings": SimpleNamespace(keep_days=30)})
    old, new = printed(printer, any_desk), printed(printer, any_desk)
    for event, days in ((old, 30.1), (new, 29.9)):
        row = slip_orders.update().where(slip_orders.c.order_number == event.subject)
        made_at = utcnow() - timedelta(days=days)
        any_desk.transactions.run(lambda connection, row=row, at=made_at: connection.execute(row.values(created_at=at)))
    retention.sweep(any_desk.transactions)
    kept = [copies_of(any_desk.transactions, event.subject).kept_since is not None for event in (old, new)]
    assert kept == [False, True]


def test_slip_that_a_worker_is_just_taking_is_not_forgotten(tmp_path: Path, any_desk: Any) -> None:
    event = an_event()
    with pytest.raises(Blocked):
        FolderPrinter(SlipFolder(tmp_path / "missing" / "slips")).print_once(event, any_desk)
    taking = Paused(any_desk.transactions)
    with ThreadPoolExecutor(2) as threads:
        taken = threads.submit(Records(taking, FOLDER_LEASE_S).claim, event, "worker", FINAL)
        assert taking.has_worked.wait(30)
        forgetting = threads.submit(forget_older, any_desk.transactions, utcnow() + timedelta(hours=1))
        with suppress(TimeoutError):
            forgetting.result(0.3)
        taking.may_end.set()
        taken.result(30)
        assert forgetting.result(30) == 0
    assert copies_of(any_desk.transactions, event.subject).kept_since is not None
