"""Several replicas on one database: one follows the jobs, all know when the printer waits for a person."""

from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.department import Blocked, InHand
from eventbus.department.ledger import utcnow
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, ipp_queue, tables
from printer.ipp_answers import PrinterStatus
from printer.ipp_transport import Operation

from .steps import DEADLINE_S, a_queue, follow_until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(ipp_queue, "WINDOW_WAIT_S", 0.0)
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)


def test_one_replica_follows_and_another_takes_over_when_it_is_silent(cups: Any, any_desk: Any) -> None:
    first, second = a_queue(cups.uri), a_queue(cups.uri)
    event = an_event()
    cups.hold()
    second.print_once(event, any_desk)
    first.follow(any_desk)
    cups.go_on()
    wait_until(cups.papers, DEADLINE_S)
    second.follow(any_desk)
    assert any_desk.results.published == [], "the first follows"
    lease_ends_now = sa.update(tables.follower).values(lease_until=utcnow())
    any_desk.transactions.run(lambda connection: connection.execute(lease_ends_now))
    follow_until(second, any_desk, "done", event.subject)
    assert any_desk.results.states(event.subject) == ["done"]


def test_replicas_that_do_not_follow_pause_as_well(cups: Any, any_desk: Any) -> None:
    first, second = a_queue(cups.uri), a_queue(cups.uri)
    events = [an_event() for _ in range(2)]
    cups.stop()
    first.print_once(events[0], any_desk)
    first.follow(any_desk)
    second.follow(any_desk)
    with pytest.raises(Blocked, match="paused"):
        second.print_once(events[1], any_desk)
    cups.start()
    follow_until(first, any_desk, "done", events[0].subject)
    assert isinstance(second.print_once(events[1], any_desk), InHand)
    follow_until(first, any_desk, "done", events[1].subject)
    assert cups.papers() == sorted(event.subject for event in events)


def test_printer_that_prints_on_with_an_empty_tray_pauses_nobody(ippeveprinter: Any, desk: Any) -> None:
    """Printers with two trays say `media-empty` of the other one for weeks."""
    queue = a_queue(ippeveprinter.uri)
    ippeveprinter.empty_tray()
    ippeveprinter.hold()
    queue.print_once(an_event(), desk)
    queue.follow(desk)
    assert queue._follower.trouble is None
    ippeveprinter.go_on()


def test_printer_that_is_out_of_paper_for_long_pauses_the_department(
    ippeveprinter: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    queue = a_queue(ippeveprinter.uri)
    ippeveprinter.empty_tray()
    ippeveprinter.hold()
    queue.print_once(an_event(), desk)
    queue.follow(desk)
    with pytest.raises(Blocked, match="media-empty"):
        queue.print_once(an_event(), desk)
    ippeveprinter.go_on()


def test_printer_that_will_not_say_how_it_is_pauses_nobody(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    proxy.answer(Operation.GET_PRINTER_ATTRIBUTES, 0x0500)
    queue.follow(desk)
    proxy.answer_itself()
    ippeveprinter.go_on()
    follow_until(queue, desk, "done", event.subject)


@pytest.mark.parametrize("reasons", [("media-jam", *[f"vendor-reason-{n:03}" for n in range(60)]), ("jam\0\x1b[2J",)])
def test_long_and_odd_reasons_of_a_printer_stop_no_slip(
    ippeveprinter: Any, any_desk: Any, reasons: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.hold()
    queue.print_once(event, any_desk)
    monkeypatch.setattr(queue._printer, "status", lambda: PrinterStatus(5, reasons))
    report = follow_until(queue, any_desk, "waiting", event.subject)
    assert "jam" in report["detail"]
    assert report["detail"].isprintable()
    ippeveprinter.go_on()
    follow_until(queue, any_desk, "done", event.subject)
