"""CUPS as the printer: stopped, rejecting, failing, answers lost. Printed once, or a person is told."""

from typing import Any

import pytest
from eventbus.department import Blocked, Done, InHand, Transient
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, ipp_queue, submission
from printer.ipp_document import padded
from printer.ipp_transport import Operation

from .steps import A4, a_queue, follow_until, print_until_in_hand

BACKEND_FAILED, BACKEND_STOP, BACKEND_CANCEL = 1, 4, 5
"""backend(7)"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(ipp_queue, "WINDOW_WAIT_S", 0.0)
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)
    monkeypatch.setattr(submission, "SETTLE_S", 0.0)
    monkeypatch.setattr(submission, "UNATTENDED_SETTLE_S", 0.0)


def test_order_is_printed_once_and_reported_when_it_is_on_paper(cups: Any, desk: Any) -> None:
    queue, event = a_queue(cups.uri), an_event()
    cups.hold()
    accepted = queue.print_once(event, desk)
    assert isinstance(accepted, InHand)
    queue.follow(desk)
    assert desk.results.published == []
    cups.go_on()
    assert follow_until(queue, desk, "done", event.subject)["reference"] == accepted.reference
    assert queue.print_once(event, desk) == Done(accepted.reference)
    assert cups.papers() == [event.subject]
    assert cups.paper(event.subject).read_bytes() == padded(desk.slips.render(event.data))


def test_padded_document_is_still_the_same_slip(cups: Any, desk: Any, text_of: Any) -> None:
    queue, event = a_queue(cups.uri), an_event(customer_name="Ольга Щербакова")
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert "Ольга Щербакова" in text_of(cups.paper(event.subject))
    assert len(cups.paper(event.subject).read_bytes()) % 1024 == 1


def test_stopped_printer_pauses_the_department_until_it_is_started(cups: Any, desk: Any) -> None:
    queue, first, second = a_queue(cups.uri), an_event(), an_event()
    cups.stop()
    assert isinstance(queue.print_once(first, desk), InHand), "CUPS takes it, and keeps it"
    queue.follow(desk)
    with pytest.raises(Blocked, match="printer: paused"):
        queue.print_once(second, desk)
    cups.start()
    follow_until(queue, desk, "done", first.subject)
    assert isinstance(queue.print_once(second, desk), InHand)
    follow_until(queue, desk, "done", second.subject)
    assert cups.papers() == sorted([first.subject, second.subject])


def test_printer_that_takes_no_jobs_pauses_the_department_until_it_does(cups: Any, desk: Any) -> None:
    queue, event = a_queue(cups.uri), an_event()
    cups.reject()
    with pytest.raises(Blocked, match="0x0506"):
        queue.print_once(event, desk)
    cups.accept()
    assert isinstance(queue.print_once(event, desk), InHand)
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers() == [event.subject]


def test_printer_that_stops_at_a_failure_pauses_the_department_and_prints_once(cups: Any, desk: Any) -> None:
    cups.set("printer-error-policy=stop-printer")
    cups.fail_next(BACKEND_FAILED)
    queue, event = a_queue(cups.uri), an_event()
    queue.print_once(event, desk)

    def is_paused() -> bool:
        queue.follow(desk)
        try:
            queue.print_once(an_event(), desk)
        except Blocked:
            return True
        return False

    wait_until(is_paused, 30)
    cups.start()
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers().count(event.subject) == 1


@pytest.mark.parametrize("reason", ["media-empty-error", "media-jam-error", "cover-open-error"])
def test_printer_that_waits_for_a_person_pauses_the_department_and_prints_once(
    cups: Any, desk: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "STUCK_S", 0.0)
    queue, first, second = a_queue(cups.uri), an_event(), an_event()
    cups.hold(reason)
    queue.print_once(first, desk)
    assert reason in follow_until(queue, desk, "waiting", first.subject)["detail"]
    with pytest.raises(Blocked, match=reason):
        queue.print_once(second, desk)
    cups.go_on()
    follow_until(queue, desk, "done", first.subject)
    assert isinstance(queue.print_once(second, desk), InHand)
    follow_until(queue, desk, "done", second.subject)
    assert cups.papers() == sorted([first.subject, second.subject])


def test_job_that_cups_tries_again_by_itself_is_printed_once(cups: Any, desk: Any) -> None:
    cups.set("printer-error-policy=retry-current-job")
    cups.fail_next(BACKEND_FAILED)
    queue, event = a_queue(cups.uri), an_event()
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers() == [event.subject]


def test_job_that_cups_aborts_is_printed_again_and_says_so(cups: Any, desk: Any) -> None:
    cups.set("printer-error-policy=abort-job")
    cups.fail_next(BACKEND_FAILED)
    queue, event = a_queue(cups.uri), an_event()
    queue.print_once(event, desk)
    assert follow_until(queue, desk, "done", event.subject)["detail"] == "2nd print: first was aborted"
    assert cups.papers() == [f"{event.subject}.2"]


def test_job_that_cups_aborts_three_times_needs_a_person(cups: Any, desk: Any) -> None:
    cups.set("printer-error-policy=abort-job")
    for _ in range(3):
        cups.fail_next(BACKEND_FAILED)
    queue, event = a_queue(cups.uri), an_event()
    queue.print_once(event, desk)
    assert follow_until(queue, desk, "attention", event.subject)["detail"].endswith("was aborted by the printer")
    assert cups.papers() == []


@pytest.mark.parametrize("by", ["a person", "the backend"])
def test_job_that_is_cancelled_is_not_printed_again(cups: Any, desk: Any, by: str) -> None:
    queue, event = a_queue(cups.uri), an_event()
    if by == "a person":
        cups.stop()
    else:
        cups.fail_next(BACKEND_CANCEL)
    accepted = queue.print_once(event, desk)
    if by == "a person":
        cups.cancel(int(accepted.reference.removeprefix("job ")))  # type: ignore[union-attr]
    assert follow_until(queue, desk, "attention", event.subject)["detail"].endswith("was cancelled at the printer")
    queue.follow(desk)
    assert desk.results.states(event.subject) == ["attention"]
    assert cups.papers() == []


@pytest.mark.parametrize(
    "lost",
    [
        [Operation.GET_PRINTER_ATTRIBUTES],
        [Operation.CREATE_JOB],
        [Operation.CREATE_JOB, Operation.GET_JOBS],
        [Operation.SEND_DOCUMENT],
        [Operation.SEND_DOCUMENT, Operation.GET_JOB_ATTRIBUTES],
        [Operation.GET_JOB_ATTRIBUTES],
    ],
    ids=lambda lost: ", ".join(operation.name for operation in lost),
)
def test_lost_answer_is_one_paper_reported_done(cups: Any, cups_proxy: Any, desk: Any, lost: list[Operation]) -> None:
    queue, event = a_queue(cups_proxy.uri), an_event()
    for operation in lost:
        cups_proxy.swallow_answer(operation)
    print_until_in_hand(queue, event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert cups_proxy.is_done_cutting
    assert desk.results.states(event.subject) == ["done"]
    assert cups.papers() == [event.subject]


def test_lost_answer_about_a_held_job_releases_it_all_the_same(cups: Any, cups_proxy: Any, desk: Any) -> None:
    """An answer that is lost while following is asked for again in the next round."""
    queue, event = a_queue(cups_proxy.uri), an_event()
    print_until_in_hand(queue, event, desk)
    for _ in range(3):
        cups_proxy.swallow_answer(Operation.GET_JOB_ATTRIBUTES)
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers() == [event.subject]


def test_document_that_was_cut_off_is_sent_again(cups: Any, cups_proxy: Any, desk: Any) -> None:
    """CUPS keeps nothing of it, so the same job gets the whole one."""
    queue, event = a_queue(cups_proxy.uri), an_event()
    cups_proxy.cut_request(Operation.SEND_DOCUMENT)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    print_until_in_hand(queue, event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers() == [event.subject]
    assert cups.paper(event.subject).read_bytes().rstrip().endswith(b"%%EOF")


def test_second_document_in_a_job_is_shown_as_a_possible_duplicate(cups: Any, desk: Any) -> None:
    queue, event = a_queue(cups.uri), an_event()
    cups.stop()
    accepted = queue.print_once(event, desk)
    job_id = int(accepted.reference.removeprefix("job "))  # type: ignore[union-attr]
    cups.client().send_document(job_id, padded(desk.slips.render(event.data)))
    cups.start()
    assert follow_until(queue, desk, "attention", event.subject)["detail"].startswith("possible duplicate")


def test_paper_that_the_printer_does_not_know_is_not_asked_for(cups: Any) -> None:
    assert cups.client().create_job("A-1", A4) > 0
