"""A slip once more, because a person asked: on paper or in a folder, marked, and without a word to the order."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from eventbus.contract import Event, OrderCreated
from eventbus.department import Done, InHand
from eventbus.department.ledger import NEW
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower
from printer.copies import note_of
from printer.desk import Desk
from printer.folder import SlipFolder
from printer.folder_printer import FolderPrinter
from printer.ipp_queue import IppQueue
from printer.ipp_transport import Operation
from printer.records import ABORTED, ATTENTION, PRINTED
from printer.reprint import RefusedError, ask_for_reprint, copies_of

from .steps import DEADLINE_S, a_queue, follow_until, row


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> SlipFolder:
    made = SlipFolder(tmp_path / "slips")
    made.prepare()
    return made


def follow_until_copy(queue: IppQueue, desk: Desk, order_number: str, copy: int, state: str) -> None:
    def has_ended() -> bool:
        queue.follow(desk)
        return len(copies_of(desk.transactions, order_number).copies) >= copy and (
            row(desk, order_number, copy).state == state
        )

    wait_until(has_ended, DEADLINE_S, what=f"copy {copy} is {state}")


def test_reprint_is_on_paper_marked_and_is_not_reported(ippeveprinter: Any, desk: Any, text_of: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    entry = ask_for_reprint(desk.transactions, event.subject, " torn ")
    assert (entry.copy, entry.cause_id) == (2, event.id)
    follow_until_copy(queue, desk, event.subject, 2, PRINTED)
    assert ippeveprinter.papers() == [event.subject, f"{event.subject}.2"]
    text = " ".join(text_of(ippeveprinter.paper(f"{event.subject}.2")).split())
    assert "Reprint of" in text
    assert ": torn" in text
    assert desk.results.states(event.subject) == ["done"]
    assert queue.print_once(event, desk) == Done("job 1"), "a redelivered event hears of its own paper"


def test_aborted_reprint_is_printed_again_as_a_reprint(ippeveprinter: Any, desk: Any, text_of: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    ask_for_reprint(desk.transactions, event.subject, "torn")
    ippeveprinter.abort_next()
    follow_until_copy(queue, desk, event.subject, 3, PRINTED)
    text = " ".join(text_of(ippeveprinter.paper(f"{event.subject}.3")).split())
    assert ": torn" in text
    assert "Print no. 3: earlier ones were aborted" in text
    assert [copy.entry.state for copy in copies_of(desk.transactions, event.subject).copies] == [
        PRINTED, ABORTED, PRINTED,
    ]  # fmt: skip


def test_reprint_that_fails_leaves_the_order_done_and_tells_a_person(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    for _ in range(3):
        ippeveprinter.abort_next()
    ask_for_reprint(desk.transactions, event.subject, "torn")
    follow_until_copy(queue, desk, event.subject, 4, ATTENTION)
    assert row(desk, event.subject, 4).detail == "job 4 was aborted by the printer"
    assert desk.results.states(event.subject) == ["done"]


def test_reprint_of_an_order_that_waited_for_a_person_makes_it_done(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    ippeveprinter.cancel(1)
    ippeveprinter.go_on()
    follow_until(queue, desk, "attention", event.subject)
    ask_for_reprint(desk.transactions, event.subject, "was cancelled")
    report = follow_until(queue, desk, "done", event.subject)
    assert (report["reference"], report["detail"], report["cause_id"]) == ("job 2", "reprinted", event.id)


def in_folder(folder: SlipFolder, desk: Desk) -> tuple[FolderPrinter, Event[OrderCreated]]:
    """An order whose slip is in the folder."""
    printer, event = FolderPrinter(folder), an_event()
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")
    return printer, event


def test_reprint_is_a_second_file_beside_the_first(folder: SlipFolder, desk: Any, text_of: Any) -> None:
    printer, event = in_folder(folder, desk)
    first = (folder.path / f"{event.subject}.pdf").read_bytes()
    for copy in (2, 3):
        ask_for_reprint(desk.transactions, event.subject, f"torn {copy}")
        printer.follow(desk)
        printer.follow(desk)
        assert ": torn" in text_of(folder.path / f"{event.subject}.{copy}.pdf")
    assert (folder.path / f"{event.subject}.pdf").read_bytes() == first
    assert len(list(folder.path.iterdir())) == 3
    assert desk.results.published == []
    assert row(desk, event.subject, 3).reference == f"{event.subject}.3.pdf"
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")


def test_file_that_is_there_is_never_replaced_by_a_reprint(folder: SlipFolder, desk: Any) -> None:
    printer, event = in_folder(folder, desk)
    there = folder.path / f"{event.subject}.2.pdf"
    there.write_bytes(b"somebody's own")
    ask_for_reprint(desk.transactions, event.subject, "torn")
    printer.follow(desk)
    assert there.read_bytes() == b"somebody's own"


def test_reprint_waits_for_a_folder_that_is_gone(folder: SlipFolder, desk: Any, capsys: Any) -> None:
    printer, event = in_folder(folder, desk)
    aside = folder.path.rename(folder.path.with_name("aside"))
    ask_for_reprint(desk.transactions, event.subject, "torn")
    printer.follow(desk)
    printer.follow(desk)
    aside.rename(folder.path)
    printer.follow(desk)
    assert (folder.path / f"{event.subject}.2.pdf").exists()


def test_slip_that_is_on_its_way_is_not_reprinted(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.hold()
    assert queue.print_once(event, desk) == InHand("job 1")
    with pytest.raises(RefusedError, match=r"copy 1 is not finished yet \(accepted, job 1\)"):
        ask_for_reprint(desk.transactions, event.subject, "torn")
    ippeveprinter.go_on()


def test_second_reprint_waits_for_the_end_of_the_first(folder: SlipFolder, any_desk: Any) -> None:
    _, event = in_folder(folder, any_desk)
    ask_for_reprint(any_desk.transactions, event.subject, "torn")
    with pytest.raises(RefusedError, match=r"copy 2 is not finished yet \(new\)"):
        ask_for_reprint(any_desk.transactions, event.subject, "torn")


def test_redelivered_event_leaves_the_reprint_to_the_follower(folder: SlipFolder, any_desk: Any) -> None:
    printer, event = in_folder(folder, any_desk)
    ask_for_reprint(any_desk.transactions, event.subject, "torn")
    assert printer.print_once(event, any_desk) == Done(f"{event.subject}.pdf")
    assert row(any_desk, event.subject, 2).state == "new"


@pytest.mark.parametrize("spelling", [str.lower, lambda n: n.replace("-", ""), lambda n: n.replace("0", "O")])
def test_order_number_is_read_as_forgivingly_as_the_shop_reads_it(
    folder: SlipFolder, desk: Any, spelling: Callable[[str], str]
) -> None:
    event = an_event(order_number="7KQ2-M0XD-4TWE")
    FolderPrinter(folder).print_once(event, desk)
    assert copies_of(desk.transactions, spelling(event.subject)).order_number == event.subject


@pytest.mark.parametrize(
    ("number", "reason", "message"),
    [
        ("7KQ2-M9XD-4TWE", "torn", "7KQ2-M9XD-4TWE: this printer never had it"),
        ("7kq2m9xd4twe", "torn", "7KQ2-M9XD-4TWE: this printer never had it"),
        ("../../etc", "torn", "expected an order number such as 7KQ2-M9XD-4TWE"),
        ("", "torn", "expected an order number such as"),
        ("x" * 36, "torn", "expected an order number such as"),
        ("7KQ2-M9XD-4TWE", " ", "the reason: expected 1 to 80 characters, got 0"),
        ("7KQ2-M9XD-4TWE", "x" * 81, "the reason: expected 1 to 80 characters, got 81"),
        ("7KQ2-M9XD-4TWE", "torn\nby", "the reason: expected one line"),
        ("7KQ2-M9XD-4TWE", "torn\u2028by", "the reason: expected one line"),
    ],
)
def test_what_cannot_be_reprinted_is_refused_in_one_line(desk: Any, number: str, reason: str, message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        ask_for_reprint(desk.transactions, number, reason)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_copy_that_the_printer_does_not_take_is_reported_as_waiting_once(
    ippeveprinter: Any, proxy: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    ippeveprinter.abort_next()
    queue.print_once(event, desk)
    proxy.answer(Operation.CREATE_JOB, 0x0506)
    follow_until_copy(queue, desk, event.subject, 2, NEW)
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    assert "0x0506" in follow_until(queue, desk, "waiting", event.subject)["detail"]
    queue.follow(desk)
    assert desk.results.states(event.subject) == ["waiting"]
    proxy.answer_itself()
    follow_until(queue, desk, "done", event.subject)
    assert ippeveprinter.papers() == [f"{event.subject}.2"]


def test_only_one_of_two_people_who_ask_at_once_has_a_reprint(folder: SlipFolder, any_desk: Any) -> None:
    _, event = in_folder(folder, any_desk)
    both = threading.Barrier(2)

    def ask(reason: str) -> bool:
        both.wait(30)
        try:
            ask_for_reprint(any_desk.transactions, event.subject, reason)
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(ask, ["torn", "wet"])) == [False, True]
    assert len(copies_of(any_desk.transactions, event.subject).copies) == 2


def test_copy_whose_first_print_was_aborted_is_marked_in_a_folder_too(
    ippeveprinter: Any, folder: SlipFolder, desk: Any, text_of: Any
) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.abort_next()
    queue.print_once(event, desk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follower.Follower, "_submit_copy", lambda *_: None)
        follow_until_copy(queue, desk, event.subject, 1, ABORTED)
    name = f"{event.subject}.2.pdf"
    assert FolderPrinter(folder).print_once(event, desk) == Done(name, note_of(2))
    assert note_of(2) in text_of(folder.path / name)
