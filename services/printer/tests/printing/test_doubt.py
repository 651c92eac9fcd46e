"""Bad answers, late answers and lost reports: one slip's trouble stays its own, and is never a second paper."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import structlog
from eventbus.department import InHand, Later, Permanent, Transient
from eventbus.department.ledger import Key, utcnow
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, ipp_queue, ipp_transport, submission
from printer.desk import Desk
from printer.ipp_queue import IppQueue
from printer.ipp_transport import Operation
from printer.records import ACCEPTED, CREATED, IPP_LEASE_S, SENDING, Records

from .steps import a_queue, follow_until, row


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(ipp_queue, "WINDOW_WAIT_S", 0.0)
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)


@pytest.fixture
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The printer may be asked without waiting."""
    monkeypatch.setattr(submission, "SETTLE_S", 0.0)
    monkeypatch.setattr(submission, "UNATTENDED_SETTLE_S", 0.0)


@pytest.fixture
def warnings() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def two_slips(queue: IppQueue, printer: Any, desk: Any) -> tuple[str, str]:
    """Two accepted slips, jobs 1 and 2, both on paper; their orders."""
    first, second = an_event(), an_event()
    assert queue.print_once(first, desk) == InHand("job 1")
    wait_until(lambda: isinstance(queue.print_once(second, desk), InHand))
    wait_until(lambda: len(printer.papers()) == 2)
    return first.subject, second.subject


@pytest.mark.parametrize("status", [0x0400, 0x0401, 0x0500, 0x0507])
def test_job_that_the_printer_will_not_tell_of_keeps_no_other_from_being_reported(
    ippeveprinter: Any, proxy: Any, desk: Any, status: int
) -> None:
    queue = a_queue(proxy.uri)
    first, second = two_slips(queue, ippeveprinter, desk)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, status, job_id=1)
    before = utcnow()
    follow_until(queue, desk, "done", second)
    assert row(desk, first).state == ACCEPTED
    assert row(desk, first).updated_at > before, "it waits behind the others"
    proxy.answer_itself()
    follow_until(queue, desk, "done", first)


def test_job_that_is_gone_is_one_that_the_printer_does_not_know(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    queue.print_once(event, desk)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0407)
    follow_until(queue, desk, "attention", event.subject)
    assert "look in the tray" in desk.results.published[-1]["detail"]


@pytest.mark.usefixtures("settled_at_once")
@pytest.mark.parametrize("operation", [Operation.SEND_DOCUMENT, Operation.CREATE_JOB])
def test_question_that_is_refused_parks_no_slip_that_may_be_on_paper(
    ippeveprinter: Any, proxy: Any, desk: Any, operation: Operation
) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    proxy.swallow_answer(operation)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0400)
    proxy.answer(Operation.GET_JOBS, 0x0400)
    with pytest.raises(Transient, match="0x0400"):
        queue.print_once(event, desk)


@pytest.fixture
def late_printer(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A printer that takes a document long after we gave up waiting."""
    monkeypatch.setattr(ipp_transport, "READ_TIMEOUT_S", 0.5)
    proxy.delay(Operation.SEND_DOCUMENT)
    return proxy


@pytest.mark.usefixtures("settled_at_once")
def test_document_that_the_printer_takes_late_is_no_second_paper(
    ippeveprinter: Any, late_printer: Any, desk: Any
) -> None:
    queue, event = a_queue(late_printer.uri), an_event()
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    assert isinstance(queue.print_once(event, desk), Later), "it is empty, and that is believed the second time"
    late_printer.go_on.set()
    wait_until(ippeveprinter.papers)
    assert queue.print_once(event, desk) == InHand("job 1")
    follow_until(queue, desk, "done", event.subject)
    assert ippeveprinter.papers() == [event.subject]


@pytest.mark.usefixtures("settled_at_once")
def test_job_that_is_empty_at_two_looks_is_sent_its_document(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    kill_while_sending(queue, event, desk)
    assert isinstance(queue.print_once(event, desk), Later)
    assert queue.print_once(event, desk) == InHand("job 1")
    follow_until(queue, desk, "done", event.subject)


@pytest.mark.usefixtures("settled_at_once")
def test_job_that_is_lost_after_a_doubtful_upload_is_no_second_paper(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    kill_while_sending(queue, event, desk)
    assert isinstance(queue.print_once(event, desk), Later)
    proxy.answer(Operation.SEND_DOCUMENT, 0x0505)
    assert isinstance(queue.print_once(event, desk), Later)
    assert row(desk, event.subject).state == CREATED
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0407)
    assert queue.print_once(event, desk) == InHand("job 1")
    assert desk.results.states(event.subject) == ["attention"]


def test_settling_begins_when_the_call_has_failed(
    late_printer: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, event, moments = a_queue(late_printer.uri), an_event(), list[datetime]()
    transport = queue._printer._transport
    post = transport._post

    def timed(*request: Any) -> Any:
        try:
            return post(*request)
        finally:
            moments.append(utcnow())

    monkeypatch.setattr(transport, "_post", timed)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    sent_at = row(desk, event.subject).last_sent_at
    assert sent_at is not None
    assert sent_at >= moments[-1]


def kill_while_sending(queue: IppQueue, event: Any, desk: Desk) -> None:
    """The worker dies as it begins to send; its lease runs out."""

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue._printer, "send_document", die)
        with pytest.raises(Killed):
            queue.print_once(event, desk)


def test_document_of_a_dead_worker_may_still_be_on_its_way_for_one_time_out(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    kill_while_sending(queue, event, desk)
    assert row(desk, event.subject).state == SENDING
    wait = queue.print_once(event, desk)
    assert isinstance(wait, Later)
    assert submission.SETTLE_S < wait.seconds <= ipp_transport.READ_TIMEOUT_S + submission.SETTLE_S


def test_slip_whose_document_is_refused_holds_no_room_and_starts_afresh(
    ippeveprinter: Any, proxy: Any, desk: Any
) -> None:
    queue, event = a_queue(proxy.uri, window=1), an_event()
    proxy.answer(Operation.SEND_DOCUMENT, 0x0409)
    with pytest.raises(Permanent, match="0x0409"):
        queue.print_once(event, desk)
    assert row(desk, event.subject).state == "new"
    proxy.answer_itself()
    other = an_event()
    wait_until(lambda: isinstance(queue.print_once(other, desk), InHand), what="the empty job is cancelled")
    follow_until(queue, desk, "done", other.subject)
    assert queue.print_once(event, desk) == InHand("job 3"), "redriven"
    follow_until(queue, desk, "done", event.subject)


def test_started_slip_of_nobody_holds_no_room(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    queue, event = a_queue(proxy.uri, window=1), an_event()
    proxy.answer(Operation.SEND_DOCUMENT, 0x0505)
    assert isinstance(queue.print_once(event, desk), Later)
    assert row(desk, event.subject).state == CREATED
    records = Records(desk.transactions, IPP_LEASE_S)
    assert records.open_count(without=Key("another", "order.created")) == 0


def test_window_that_stays_full_is_warned_of(
    ippeveprinter: Any, desk: Any, warnings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipp_queue, "WINDOW_STILL_S", 0.0)
    queue = a_queue(ippeveprinter.uri, window=1)
    ippeveprinter.hold()
    queue.print_once(an_event(), desk)
    for _ in range(2):
        assert isinstance(queue.print_once(an_event(), desk), Later)
    assert any("its window stays full" in line["event"] for line in warnings)
    ippeveprinter.go_on()


def test_printer_that_has_as_many_jobs_as_it_keeps_is_busy(proxy: Any, desk: Any) -> None:
    proxy.answer(Operation.CREATE_JOB, 0x0404)
    outcome = a_queue(proxy.uri).print_once(an_event(), desk)
    assert isinstance(outcome, Later)
    assert "busy" in outcome.reason


def test_end_that_was_seen_outlives_the_printers_memory_while_the_broker_is_away(ippeveprinter: Any, desk: Any) -> None:
    class BrokerIsAway:
        def publish(self, **_: Any) -> None:
            raise ConnectionError

    queue = a_queue(ippeveprinter.uri)
    first, second = two_slips(queue, ippeveprinter, desk)

    def both_are_seen() -> bool:
        with suppress(ConnectionError):
            queue.follow(replace(desk, results=BrokerIsAway()))
        return all("end" in row(desk, number).extra for number in (first, second))

    wait_until(both_are_seen)
    ippeveprinter.kill()
    queue.follow(desk)
    assert desk.results.states(first) == desk.results.states(second) == ["done"]


@pytest.mark.usefixtures("settled_at_once")
def test_half_a_document_that_the_printer_calls_complete_needs_a_look_at_the_paper(
    ippeveprinter: Any, proxy: Any, desk: Any
) -> None:
    ippeveprinter.accept_half_documents()
    queue, event = a_queue(proxy.uri), an_event()
    proxy.cut_request(Operation.SEND_DOCUMENT)
    with pytest.raises(Transient):
        queue.print_once(event, desk)
    wait_until(ippeveprinter.papers)
    assert queue.print_once(event, desk) == InHand("job 1")
    follow_until(queue, desk, "attention", event.subject)
    assert desk.results.states(event.subject) == ["attention"]
    assert "check the paper" in desk.results.published[-1]["detail"]


def test_job_that_holds_another_slips_document_needs_a_person(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    """A printer was restarted amid the steps of two slips, and both know the same number."""
    queue, event = a_queue(proxy.uri), an_event()
    proxy.answer(Operation.SEND_DOCUMENT, 0x0509)
    assert queue.print_once(event, desk) == InHand("job 1")
    (report,) = desk.results.published
    assert (report["state"], report["detail"]) == ("attention", "another document is in job 1: look in the tray")


def test_row_that_has_moved_on_is_not_kept_from_others(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri), an_event()
    queue.print_once(event, desk)
    seen_before = replace(row(desk, event.subject), state=SENDING)
    assert Records(desk.transactions, IPP_LEASE_S).claim_again(seen_before, "me") is None
    assert row(desk, event.subject).owner is None


def test_slip_of_another_printer_is_a_persons_task(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    event = an_event()
    a_queue(ippeveprinter.uri).print_once(event, desk)
    follow_until(a_queue(proxy.uri), desk, "attention", event.subject)
    assert desk.results.published[-1]["detail"].startswith("printer changed: job 1 was sent to http://localhost:")


def test_unknown_command_is_refused_with_usage() -> None:
    refused = subprocess.run([sys.executable, "-m", "printer", "reprint", "A-1"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.startswith("usage: python -m printer")
