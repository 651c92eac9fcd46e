"""Printers that drop finished jobs, and printers that lose jobs: what the settings say, and nothing without a word."""

from datetime import timedelta
from typing import Any

import pytest
from eventbus.department import Done, InHand
from eventbus.department.ledger import utcnow
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, submission
from printer.follower import SEEN_PRINTING
from printer.ipp_queue import IppQueue
from printer.ipp_transport import Operation
from printer.records import IPP_LEASE_S, Records

from .steps import DEADLINE_S, a_queue, follow_until, row


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for anything but the printer."""
    monkeypatch.setattr(follower, "POLL_MAX_S", 0.0)
    monkeypatch.setattr(submission, "SETTLE_S", 0.0)


def follow_until_seen_printing(queue: IppQueue, desk: Any, order_number: str) -> None:
    def is_seen() -> bool:
        queue.follow(desk)
        return SEEN_PRINTING in row(desk, order_number).extra

    wait_until(is_seen, DEADLINE_S, what="the job is seen printing")


def a_minute_ago(desk: Any, order_number: str) -> None:
    """It was seen printing a minute ago."""
    records = Records(desk.transactions, IPP_LEASE_S)
    taken = records.claim_again(row(desk, order_number), "me")
    assert taken is not None
    seen = {SEEN_PRINTING: (utcnow() - timedelta(minutes=1)).isoformat()}
    records.advance(taken, taken.state, release=True, extra={**taken.extra, **seen})


def test_job_that_was_printing_and_is_gone_counts_as_done_where_the_settings_say_so(
    ippeveprinter: Any, proxy: Any, desk: Any
) -> None:
    queue, event = a_queue(proxy.uri, forgets_done=True), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    follow_until_seen_printing(queue, desk, event.subject)
    ippeveprinter.go_on()
    wait_until(ippeveprinter.papers, DEADLINE_S)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    report = follow_until(queue, desk, "done", event.subject)
    assert report["detail"] == "job 1 was printing, and the printer dropped it"
    assert queue.print_once(event, desk) == Done("job 1", report["detail"])


@pytest.mark.parametrize("forgets_done", [False, True], ids=["remembers", "forgets"])
def test_job_that_was_not_seen_printing_and_is_gone_needs_a_person(
    ippeveprinter: Any, proxy: Any, desk: Any, forgets_done: bool
) -> None:
    queue, event = a_queue(proxy.uri, forgets_done=forgets_done), an_event()
    queue.print_once(event, desk)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    assert "look in the tray" in follow_until(queue, desk, "attention", event.subject)["detail"]


@pytest.mark.parametrize("what", ["restarted", "jammed"])
def test_job_that_was_printing_is_not_done_where_the_printer_was_restarted_or_waits_for_a_person(
    ippeveprinter: Any, proxy: Any, desk: Any, what: str
) -> None:
    queue, event = a_queue(proxy.uri, forgets_done=True), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    follow_until_seen_printing(queue, desk, event.subject)
    if what == "restarted":
        ippeveprinter.kill()
        ippeveprinter.start()
        a_minute_ago(desk, event.subject)
    else:
        ippeveprinter.empty_tray()
        proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    follow_until(queue, desk, "attention", event.subject)
    assert desk.results.states(event.subject) == ["attention"]
    ippeveprinter.go_on()


def test_slip_that_the_printer_lost_is_printed_again_and_marked_where_the_settings_say_so(
    ippeveprinter: Any, desk: Any, text_of: Any
) -> None:
    queue, event = a_queue(ippeveprinter.uri, repeats_lost=True), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    ippeveprinter.kill()
    ippeveprinter.start()
    ippeveprinter.go_on()
    report = follow_until(queue, desk, "done", event.subject)
    assert report["detail"] == "Print no. 2: an earlier one may lie in the tray"
    assert ippeveprinter.papers() == [f"{event.subject}.2"]
    assert report["detail"] in text_of(ippeveprinter.paper(f"{event.subject}.2"))
    assert row(desk, event.subject).state == "lost"


def test_slip_that_the_printer_loses_three_times_needs_a_person(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    queue, event = a_queue(proxy.uri, repeats_lost=True), an_event()
    queue.print_once(event, desk)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    follow_until(queue, desk, "attention", event.subject)
    assert desk.results.states(event.subject) == ["attention"]
    assert ippeveprinter.papers() == [event.subject, f"{event.subject}.2", f"{event.subject}.3"]
    assert queue.print_once(event, desk) == InHand("job 3")


def test_marked_copy_that_is_aborted_is_still_marked(ippeveprinter: Any, desk: Any) -> None:
    queue, event = a_queue(ippeveprinter.uri, repeats_lost=True), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    ippeveprinter.kill()
    ippeveprinter.start()
    ippeveprinter.abort_next()
    ippeveprinter.go_on()
    assert follow_until(queue, desk, "done", event.subject)["detail"] == (
        "Print no. 3: an earlier one may lie in the tray"
    )
    assert ippeveprinter.papers() == [f"{event.subject}.3"]
