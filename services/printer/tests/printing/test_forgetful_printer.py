"""Printers that drop finished jobs, and printers that lose jobs: what the settings say, and nothing without a word."""

from datetime import timedelta
from typing import Any

import pytest
from eventbus.department import Done, InHand
from eventbus.department.ledger import utcnow
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer import follower, submission
from printer.ipp_queue import IppQueue
from printer.ipp_transport import Operation
from printer.records import IPP_LEASE_S, Records
from printer.submission import CUT, SEEN_PRINTING, UPLOAD

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


def set_extra(desk: Any, order_number: str, **facts: str) -> None:
    records = Records(desk.transactions, IPP_LEASE_S)
    taken = records.claim_again(row(desk, order_number), "me")
    assert taken is not None
    records.advance(taken, taken.state, release=True, extra={**taken.extra, **facts})


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


def test_job_that_was_never_seen_printing_and_is_gone_needs_a_person(cups: Any, cups_proxy: Any, desk: Any) -> None:
    queue, event = a_queue(cups_proxy.uri, forgets_done=True), an_event()
    cups.stop()
    queue.print_once(event, desk)
    queue.follow(desk)
    cups_proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    assert "look in the tray" in follow_until(queue, desk, "attention", event.subject)["detail"]


def test_job_that_is_gone_needs_a_person_where_the_settings_do_not_say_otherwise(
    ippeveprinter: Any, proxy: Any, desk: Any
) -> None:
    queue, event = a_queue(proxy.uri), an_event()
    queue.print_once(event, desk)
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    assert "look in the tray" in follow_until(queue, desk, "attention", event.subject)["detail"]


def answer(status: int, group: int = 0, **attributes: int | str) -> tuple[int, dict[str, str], bytes]:
    """An IPP answer with one group."""
    body = b"\x02\x00" + status.to_bytes(2) + b"\x00\x00\x00\x01" + (bytes([group]) if group else b"")
    for name, value in attributes.items():
        tag, data = (0x21, value.to_bytes(4)) if isinstance(value, int) else (0x44, value.encode())
        name_data = name.replace("_", "-").encode()
        body += bytes([tag]) + len(name_data).to_bytes(2) + name_data + len(data).to_bytes(2) + data
    return 200, {}, body + b"\x03"


def test_job_that_printed_as_it_was_sent_and_is_gone_before_the_first_look_is_done(
    scripted_printer: Any, desk: Any
) -> None:
    printer_group, job_group, gone = 4, 2, answer(0x0406)
    printer = scripted_printer(
        answer(0, printer_group, document_format_supported="application/pdf"),
        answer(0, job_group, job_id=17),
        answer(0, job_group, job_id=17, job_state=5),
        gone,
        gone,
        answer(0, printer_group, printer_state=3, printer_state_reasons="none", printer_up_time=1000),
    )
    queue, event = a_queue(printer.uri, forgets_done=True), an_event()
    assert queue.print_once(event, desk) == InHand("job 17")
    queue.follow(desk)
    assert desk.results.states(event.subject) == ["done"]


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
        set_extra(desk, event.subject, **{SEEN_PRINTING: (utcnow() - timedelta(minutes=1)).isoformat()})
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


def test_job_whose_upload_broke_off_is_not_done_when_it_is_gone(ippeveprinter: Any, proxy: Any, desk: Any) -> None:
    """It was seen printing: half a page, for all we know."""
    queue, event = a_queue(proxy.uri, forgets_done=True), an_event()
    ippeveprinter.hold()
    queue.print_once(event, desk)
    follow_until_seen_printing(queue, desk, event.subject)
    set_extra(desk, event.subject, **{UPLOAD: CUT})
    proxy.answer(Operation.GET_JOB_ATTRIBUTES, 0x0406)
    follow_until(queue, desk, "attention", event.subject)
    assert desk.results.states(event.subject) == ["attention"]
    ippeveprinter.go_on()
