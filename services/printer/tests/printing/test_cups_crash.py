"""CUPS dies, and forgets what it had not written down: no paper twice, none missing without a word."""

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from eventbus.department import InHand, Transient
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, ipp_queue, submission
from printer.classification import JobState
from printer.ipp_transport import Operation
from printer.testing.cutting_proxy import CuttingProxy

from .cups import CupsServer, Queue
from .steps import A4, DyingTransactions, Killed, a_queue, follow_until, print_until_in_hand, row


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)
    monkeypatch.setattr(submission, "SETTLE_S", 0.0)


@pytest.fixture
def queue_of_a_server_that_will_die(cups_server: CupsServer) -> Queue:
    """A printer that the server has written down, unlike the jobs that come now."""
    queue = cups_server.queue()
    cups_server.stop()
    cups_server.start()
    return queue


def test_job_that_cups_lost_needs_a_person_and_its_number_is_another_slips(
    queue_of_a_server_that_will_die: Queue, desk: Any
) -> None:
    printer = queue_of_a_server_that_will_die
    queue, lost, later = a_queue(printer.uri), an_event(), an_event()
    printer.hold()
    assert queue.print_once(lost, desk) == InHand("job 1")
    printer.server.kill()
    printer.server.start()
    assert queue.print_once(later, desk) == InHand("job 1")
    printer.go_on()
    follow_until(queue, desk, "done", later.subject)
    follow_until(queue, desk, "attention", lost.subject)
    assert desk.results.states(lost.subject) == ["attention"]
    assert printer.papers() == [later.subject]


def test_strangers_job_with_our_number_and_a_hidden_name_is_not_taken_for_ours(
    queue_of_a_server_that_will_die: Queue, desk: Any
) -> None:
    printer = queue_of_a_server_that_will_die
    queue, lost = a_queue(printer.uri), an_event()
    printer.hold()
    assert queue.print_once(lost, desk) == InHand("job 1")
    printer.server.kill()
    printer.server.start()
    printer.go_on()
    printer.print_another("private", user="somebody")
    wait_until(lambda: printer.papers() == ["private"], 30)
    strangers = printer.client().job(1)
    assert strangers is not None
    assert (strangers.name, strangers.user) == (None, None), "CUPS hides them"
    report = follow_until(queue, desk, "attention", lost.subject)
    assert "look in the tray" in report["detail"]
    assert desk.results.states(lost.subject) == ["attention"]


def test_strangers_jobs_with_hidden_names_keep_no_slip_from_being_found(
    cups: Queue, cups_proxy: CuttingProxy, desk: Any
) -> None:
    queue, event = a_queue(cups_proxy.uri), an_event()
    cups.stop()
    for name in ("first", "second"):
        cups.print_another(name)
    cups_proxy.swallow_answer(Operation.CREATE_JOB)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    print_until_in_hand(queue, event, desk)
    cups.start()
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers().count(event.subject) == 1


def test_restart_of_cups_prints_what_waited_once(cups_server: CupsServer, desk: Any) -> None:
    printer = cups_server.queue()
    queue, events = a_queue(printer.uri), [an_event() for _ in range(3)]
    printer.stop()
    for event in events:
        assert isinstance(queue.print_once(event, desk), InHand)
    cups_server.stop()
    queue.follow(desk)
    assert desk.results.published == [], "a server that is off says nothing of its jobs"
    cups_server.start()
    printer.start()
    follow_until(queue, desk, "done", *(event.subject for event in events))
    assert printer.papers() == sorted(event.subject for event in events)


def test_job_that_a_crash_left_held_is_released_and_printed_once(careful_cups_server: CupsServer, desk: Any) -> None:
    """As after a kill between two writes: the document is there, and the job's file still says that it is awaited."""
    printer = careful_cups_server.queue()
    control = careful_cups_server.root / "spool/c00001"
    queue, event = a_queue(printer.uri), an_event()
    printer.hold()
    original = queue._printer.send_document

    def send_document(job_id: int, document: bytes) -> None:
        before = wait_until(lambda: control.read_bytes() if control.exists() else b"", 30)
        original(job_id, document)
        printer.server.kill()
        control.write_bytes(before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue._printer, "send_document", send_document)
        assert queue.print_once(event, desk) == InHand("job 1")
    printer.server.start()
    held = printer.client().job(1)
    assert held is not None
    assert (held.state, held.hold_until, held.documents) == (JobState.HELD, "no-hold", 1)
    printer.go_on()
    follow_until(queue, desk, "done", event.subject)
    assert printer.papers() == [event.subject]


def test_job_that_cups_begins_again_after_a_crash_is_shown_as_a_possible_duplicate(
    careful_cups_server: CupsServer, desk: Any
) -> None:
    """CUPS does not know how far it was. If all of it was on paper, there is a second one."""
    printer = careful_cups_server.queue()
    queue, event = a_queue(printer.uri), an_event()
    printer.hold()
    queue.print_once(event, desk)

    def first_start() -> int | None:
        queue.follow(desk)
        return row(desk, event.subject).extra.get("started_at")

    began = wait_until(first_start, 30)
    assert began is not None
    wait_until(lambda: time.time() >= began + 2)  # it counts in whole seconds
    printer.server.kill()
    printer.server.start()
    printer.go_on()
    report = follow_until(queue, desk, "done", event.subject)
    assert report["detail"] == "possible duplicate: the printer began job 1 twice"


def test_job_that_a_person_holds_is_left_held_and_reported_as_waiting(
    cups: Queue, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    queue, event = a_queue(cups.uri), an_event()
    cups.stop()
    accepted = queue.print_once(event, desk)
    assert isinstance(accepted, InHand)
    number = str(accepted.reference).removeprefix("job ")
    cups.server.run("lp", "-i", f"{cups.name}-{number}", "-H", "hold")
    cups.start()
    assert follow_until(queue, desk, "waiting", event.subject)["detail"] == f"on the printer: job {number} is held"
    job = cups.client().job(int(number))
    assert job is not None
    assert job.state == JobState.HELD
    assert cups.papers() == []


@pytest.mark.parametrize("after_commit", [False, True], ids=["before the commit", "after the commit"])
def test_worker_killed_at_any_step_leaves_one_paper(
    cups: Queue, desk: Any, after_commit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second job would be a second paper: unlike ippeveprinter CUPS takes all that comes."""
    monkeypatch.setattr(submission, "UNATTENDED_SETTLE_S", 0.0)
    monkeypatch.setattr(ipp_queue, "IPP_LEASE_S", 0.0)  # a dead owner's lease has run out
    queue, steps, died, numbers = a_queue(cups.uri), 0, True, list[str]()
    while died:
        event = an_event()
        dying = DyingTransactions(desk.transactions, steps, after_commit=after_commit)
        with suppress(Killed):
            queue.print_once(event, replace(desk, transactions=dying))
        print_until_in_hand(queue, event, desk)
        died, steps = dying.died, steps + 1
        numbers.append(event.subject)
    follow_until(queue, desk, "done", *numbers)
    assert cups.papers() == sorted(numbers)
    assert steps > 6


def test_slip_is_found_among_five_hundred_finished_jobs(cups: Queue, cups_proxy: CuttingProxy, desk: Any) -> None:
    """CUPS leaves names out of long lists of finished jobs."""
    client = cups.client()
    for number in range(500):
        client.cancel_job(client.create_job(f"A-{number}", A4))
    queue, event = a_queue(cups_proxy.uri), an_event()
    cups_proxy.swallow_answer(Operation.CREATE_JOB)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    print_until_in_hand(queue, event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers() == [event.subject]
    assert client.find_job("A-499") is not None
    assert client.find_job("A-500") is None
