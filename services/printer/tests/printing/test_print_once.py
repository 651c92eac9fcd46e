"""Each order is on paper once, whatever cuts in, on a real IPP printer."""

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from eventbus.department import Blocked, Done, InHand, Later, Permanent, Transient
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, ipp_queue, submission
from printer.classification import PrinterError
from printer.copies import note_of
from printer.ipp_client import IppPrinter
from printer.ipp_transport import Operation

from .steps import A4, DyingTransactions, Killed, a_queue, follow_until, print_until_in_hand


@pytest.fixture
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The printer may be asked without waiting."""
    monkeypatch.setattr(submission, "SETTLE_S", 0.0)
    monkeypatch.setattr(submission, "UNATTENDED_SETTLE_S", 0.0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(ipp_queue, "WINDOW_WAIT_S", 0.0)
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)


def test_order_is_printed_and_reported_when_it_is_on_paper(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.hold()
    assert queue.print_once(event, desk) == InHand("job 1")
    queue.follow(desk)
    assert desk.results.published == []
    ippeveprinter.go_on()
    assert follow_until(queue, desk, "done", event.subject) == {
        "order_number": event.subject,
        "cause_id": event.id,
        "cause_type": "order.created",
        "state": "done",
        "reference": "job 1",
        "detail": None,
    }
    assert ippeveprinter.papers() == [event.subject]
    queue.follow(desk)
    assert desk.results.states(event.subject) == ["done"]


def test_redelivered_order_is_not_printed_again(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    assert queue.print_once(event, desk) == queue.print_once(event, desk) == InHand("job 1")
    follow_until(queue, desk, "done", event.subject)
    assert queue.print_once(event, desk) == Done("job 1")
    assert ippeveprinter.papers() == [event.subject]


def test_eight_workers_with_one_order_print_one_slip(ippeveprinter: Any, any_desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(queue.print_once(event, any_desk))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert all(isinstance(outcome, InHand | Later) for outcome in outcomes)
    follow_until(queue, any_desk, "done", event.subject)
    assert ippeveprinter.papers() == [event.subject]


def test_busy_printer_is_no_failure_and_gets_the_next_slip_later(ippeveprinter: Any, desk: Any) -> None:
    queue, first, second = a_queue(ippeveprinter.uri), an_event(), an_event()
    ippeveprinter.hold()
    assert isinstance(queue.print_once(first, desk), InHand)
    busy = queue.print_once(second, desk)
    assert isinstance(busy, Later)
    assert "0x0507" in busy.reason
    again = queue.print_once(second, desk)
    assert isinstance(again, Later)
    assert again.reason.endswith("as its window takes"), "it shrank to what is open"
    ippeveprinter.go_on()
    follow_until(queue, desk, "done", first.subject)
    assert print_until_in_hand(queue, second, desk) == InHand("job 2")
    follow_until(queue, desk, "done", second.subject)
    assert ippeveprinter.papers() == sorted([first.subject, second.subject])


def test_worker_waits_a_while_for_room_in_the_window(
    ippeveprinter: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipp_queue, "WINDOW_WAIT_S", 30.0)
    monkeypatch.setattr(ipp_queue, "WINDOW_LOOK_S", 0.02)
    queue, first, second = a_queue(ippeveprinter.uri, window=1), an_event(), an_event()
    queue.print_once(first, desk)
    outcomes: list[Any] = []
    waiting = threading.Thread(target=lambda: outcomes.append(queue.print_once(second, desk)))
    waiting.start()
    follow_until(queue, desk, "done", first.subject)
    waiting.join()
    assert outcomes == [InHand("job 2")]


def test_full_window_of_a_printer_in_trouble_blocks_the_department(ippeveprinter: Any, desk: Any) -> None:
    queue = a_queue(ippeveprinter.uri, window=1)
    ippeveprinter.hold()
    assert isinstance(queue.print_once(an_event(), desk), InHand)
    assert isinstance(queue.print_once(an_event(), desk), Later)
    ippeveprinter.empty_tray()
    with pytest.raises(Blocked, match="media-empty"):
        queue.print_once(an_event(), desk)
    ippeveprinter.go_on()


@pytest.mark.usefixtures("settled_at_once")
@pytest.mark.parametrize(("operation", "end"), [(Operation.CREATE_JOB, "done"), (Operation.SEND_DOCUMENT, "attention")])
def test_lost_answer_is_no_second_paper(
    ippeveprinter: Any, proxy: Any, desk: Any, operation: Operation, end: str
) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    proxy.swallow_answer(operation)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    assert print_until_in_hand(queue, event, desk) == InHand("job 1")
    follow_until(queue, desk, end, event.subject)
    assert ippeveprinter.papers() == [event.subject]


def test_printing_again_on_every_failure_would_make_two_papers(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    """What the ledger is for: proves that these tests would see a second paper."""
    client, event = IppPrinter(proxy.uri, connections=1), an_event()
    pdf = desk.slips.render(event.data)
    proxy.swallow_answer(Operation.SEND_DOCUMENT)
    with pytest.raises(PrinterError):
        client.send_document(client.create_job(event.subject, A4), pdf)
    wait_until(ippeveprinter.papers)
    job_id = wait_until(lambda: created(client, event.subject))
    assert job_id is not None
    client.send_document(job_id, pdf)
    wait_until(lambda: ippeveprinter.papers() == [event.subject, event.subject])


def created(client: IppPrinter, name: str) -> int | None:
    """The job's id; None while the printer is busy."""
    with suppress(PrinterError):
        return client.create_job(name, A4)
    return None


def test_printer_is_not_asked_before_it_has_settled(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    proxy.swallow_answer(Operation.CREATE_JOB)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    wait = queue.print_once(event, desk)
    assert isinstance(wait, Later)
    assert 0 < wait.seconds <= submission.SETTLE_S


@pytest.mark.usefixtures("settled_at_once")
def test_document_cut_off_is_printed_again_and_says_so(ippeveprinter: Any, proxy: Any, desk: Any, text_of: Any) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    proxy.cut_request(Operation.SEND_DOCUMENT)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    assert print_until_in_hand(queue, event, desk) == InHand("job 1")
    report = follow_until(queue, desk, "done", event.subject)
    assert (report["reference"], report["detail"]) == ("job 2", "2nd print: first was aborted")
    (paper,) = ippeveprinter.papers()
    assert paper == f"{event.subject}.2"
    assert "2nd print: first was aborted" in text_of(ippeveprinter.paper(paper))


@pytest.mark.parametrize("aborts", [1, 2])
def test_aborted_slip_is_printed_again(ippeveprinter: Any, desk: Any, aborts: int) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    for _ in range(aborts):
        ippeveprinter.abort_next()
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert ippeveprinter.papers() == [f"{event.subject}.{aborts + 1}"]
    assert desk.results.states(event.subject) == ["done"]
    assert queue.print_once(event, desk) == Done(f"job {aborts + 1}", note_of(aborts + 1))


def test_slip_aborted_three_times_needs_a_person(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    for _ in range(3):
        ippeveprinter.abort_next()
    queue.print_once(event, desk)
    report = follow_until(queue, desk, "attention", event.subject)
    assert report["detail"] == "job 3 was aborted by the printer"
    assert ippeveprinter.papers() == []
    assert queue.print_once(event, desk) == InHand("job 3"), "nothing is printed again by itself"
    assert desk.results.states(event.subject) == ["attention", "attention"]
    assert desk.results.published[1] == desk.results.published[0], "a redelivered event is reported again"


def test_job_that_the_printer_forgot_needs_a_look_in_the_tray(ippeveprinter: Any, desk: Any) -> None:
    queue, event, other = a_queue(ippeveprinter.uri), an_event(), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    ippeveprinter.kill()
    ippeveprinter.start()
    assert queue.print_once(other, desk) == InHand("job 1"), "the printer counts anew: the same id is another job"
    report = follow_until(queue, desk, "attention", event.subject)
    assert "look in the tray" in report["detail"]
    assert desk.results.states(other.subject) == []
    ippeveprinter.go_on()
    follow_until(queue, desk, "done", other.subject)


def test_job_cancelled_by_a_person_is_not_printed_again(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    ippeveprinter.cancel(1)
    ippeveprinter.go_on()
    assert follow_until(queue, desk, "attention", event.subject)["detail"] == "job 1 was cancelled at the printer"
    queue.follow(desk)
    assert desk.results.states(event.subject) == ["attention"]


def test_slip_that_is_stuck_is_reported_once_with_the_printers_reasons(
    ippeveprinter: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.hold()
    ippeveprinter.empty_tray()
    queue.print_once(event, desk)
    report = follow_until(queue, desk, "waiting", event.subject)
    assert "media-empty" in report["detail"]
    queue.follow(desk)
    assert desk.results.states(event.subject) == ["waiting"]
    ippeveprinter.go_on()


def test_printer_that_went_off_is_reported_for_every_slip_once(
    ippeveprinter: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    queue, first, second = a_queue(ippeveprinter.uri), an_event(), an_event()
    queue.print_once(first, desk)
    wait_until(ippeveprinter.papers)
    wait_until(lambda: isinstance(queue.print_once(second, desk), InHand))
    ippeveprinter.kill()
    for _ in range(3):
        queue.follow(desk)
    assert desk.results.states(first.subject) == desk.results.states(second.subject) == ["waiting"]
    assert desk.results.published[0]["detail"] == "the printer does not answer"


def test_report_that_is_not_confirmed_is_made_again(ippeveprinter: Any, desk: Any) -> None:
    class BrokerIsAway:
        def publish(self, **_: Any) -> None:
            raise ConnectionError

    queue, event = a_queue(ippeveprinter.uri), an_event()
    queue.print_once(event, desk)
    wait_until(ippeveprinter.papers)

    def is_tried() -> bool:
        try:
            queue.follow(replace(desk, results=BrokerIsAway()))
        except ConnectionError:
            return True
        return False

    wait_until(is_tried)
    assert follow_until(queue, desk, "done", event.subject)["reference"] == "job 1"


def test_printer_that_is_off_is_tried_again(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    ippeveprinter.kill()
    with pytest.raises(Transient, match="no answer"):
        queue.print_once(event, desk)
    queue.follow(desk)
    ippeveprinter.start()
    assert queue.print_once(event, desk) == InHand("job 1")


def test_rejecting_printer_blocks_the_department(scripted_printer: Any, desk: Any) -> None:
    printer = scripted_printer((200, {}, b"\x02\x00\x05\x06\x00\x00\x00\x01\x03"))
    with pytest.raises(Blocked, match="0x0506"):
        a_queue(printer.uri).print_once(an_event(), desk)


def test_slip_that_the_printer_refuses_for_good_is_parked(scripted_printer: Any, desk: Any) -> None:
    printer = scripted_printer((413, {}, b""))
    with pytest.raises(Permanent, match="HTTP 413"):
        a_queue(printer.uri).print_once(an_event(), desk)


@pytest.mark.usefixtures("settled_at_once")
@pytest.mark.parametrize("after_commit", [False, True], ids=["before the commit", "after the commit"])
def test_worker_killed_at_any_step_leaves_one_paper(
    ippeveprinter: Any, any_desk: Any, after_commit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ipp_queue, follower):
        monkeypatch.setattr(module, "IPP_LEASE_S", 0.0)  # a dead owner's lease has run out
    queue, steps = a_queue(ippeveprinter.uri), 0
    while True:
        event = an_event()
        dying = DyingTransactions(any_desk.transactions, steps, after_commit=after_commit)
        try:
            queue.print_once(event, replace(any_desk, transactions=dying))
        except Killed:
            steps += 1
        print_until_in_hand(queue, event, any_desk)
        follow_until(queue, any_desk, "done", event.subject)
        assert ippeveprinter.papers().count(event.subject) == 1, f"killed at step {steps}"
        if not dying.died:
            break
    assert steps >= 6
    assert len(ippeveprinter.papers()) == steps + 1
