"""A slip that cannot be made: a person is told, and the other slips go on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eventbus.contract import OrderCreated
from eventbus.department import Done
from eventbus.testing.builders import an_event
from printer import follower
from printer.desk import Desk
from printer.folder import SlipFolder
from printer.folder_printer import FolderPrinter
from printer.records import ATTENTION, PRINTED
from printer.reprint import ask_for_reprint
from printer.tables import slip_orders

from .steps import a_queue, follow_until, row


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)


class Unlucky:
    """Makes slips, but not that order's."""

    def __init__(self, inner: Any, order_number: str) -> None:
        self._inner = inner
        self._order_number = order_number

    def render(self, order: OrderCreated, *about: Any) -> bytes:
        if order.order_number == self._order_number:
            raise RuntimeError(f"cannot set {order.customer_name}")
        pdf: bytes = self._inner.render(order, *about)
        return pdf


def cannot_be_set(desk: Desk, order_number: str) -> Desk:
    return replace(desk, slips=Unlucky(desk.slips, order_number))


def is_not_kept(desk: Desk, order_number: str) -> Desk:
    row = slip_orders.delete().where(slip_orders.c.order_number == order_number)
    desk.transactions.run(lambda connection: connection.execute(row))
    return desk


def is_not_legible(desk: Desk, order_number: str) -> Desk:
    row = slip_orders.update().where(slip_orders.c.order_number == order_number)
    desk.transactions.run(lambda connection: connection.execute(row.values(data='{"customer_name": "Secret Name"}')))
    return desk


FAULTS = pytest.mark.parametrize("fault", [cannot_be_set, is_not_kept, is_not_legible])


@FAULTS
def test_copy_that_cannot_be_made_needs_a_person_and_keeps_no_other_slip(
    ippeveprinter: Any, desk: Any, fault: Callable[[Desk, str], Desk]
) -> None:
    queue, bad, good = a_queue(ippeveprinter.uri), an_event(customer_name="Secret Name"), an_event()
    ippeveprinter.abort_next()
    queue.print_once(bad, desk)
    with pytest.MonkeyPatch.context() as patch:  # aborted, and its second copy not begun yet
        patch.setattr(follower.Follower, "_submit_copy", lambda *_: None)
        while row(desk, bad.subject).state != "aborted":
            queue.follow(desk)
    queue.print_once(good, desk)
    desk = fault(desk, bad.subject)
    follow_until(queue, desk, "done", good.subject)
    follow_until(queue, desk, "attention", bad.subject)
    assert row(desk, bad.subject, 2).state == ATTENTION
    assert "cannot be made" in str(row(desk, bad.subject, 2).detail)
    assert "Secret" not in str(desk.results.published)


@FAULTS
def test_reprint_that_cannot_be_made_keeps_no_other_file(
    tmp_path: Path, desk: Any, fault: Callable[[Desk, str], Desk], capsys: Any
) -> None:
    printer = FolderPrinter(SlipFolder(tmp_path / "slips"))
    bad, good = an_event(customer_name="Secret Name"), an_event()
    for event in (bad, good):
        assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")
        ask_for_reprint(desk.transactions, event.subject, "torn")
    printer.follow(fault(desk, bad.subject))
    assert row(desk, good.subject, 2).state == PRINTED
    assert row(desk, bad.subject, 2).state == ATTENTION
    assert "Secret" not in "".join(capsys.readouterr())
