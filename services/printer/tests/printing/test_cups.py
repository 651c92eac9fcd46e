"""CUPS as the printer: printed once, or a person is told."""

from typing import Any

import pytest
from eventbus.department import Done, InHand
from eventbus.testing.builders import an_event
from printer import follower, ipp_queue, submission

from .steps import a_queue, follow_until


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
    assert cups.paper(event.subject).read_bytes() == desk.slips.render(event.data)
