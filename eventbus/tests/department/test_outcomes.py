"""What becomes of an event, by what its handler returns or raises: seen from the broker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eventbus.contract import rfc3339
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import Reports
from eventbus.testing.waiting import wait_until


def test_done_reports_once_and_leaves_the_queue_empty(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe().wait_ready()
    event = an_event()
    broker.publish(event, "order.created.north")
    number = event.subject
    wait_until(lambda: reports.of(number) == ["done"])
    assert reports.last(number).reference == "R1"
    assert reports.last(number).cause_id == event.id
    assert probe.stop() == 0
    assert broker.depth("probe") == 0


def test_transient_failures_report_waiting_once_and_then_done(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["transient"], ["transient"], ["done", "4711"])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: "done" in reports.of(event.subject))
    assert reports.of(event.subject) == ["waiting", "done"]
    assert probe.calls(event.subject) == 3


def test_permanent_is_parked_with_its_reason_and_reported_as_attention(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["permanent"])
    probe.wait_ready()
    broker.publish(event, "order.created.north", headers={"x-mine": "kept"})
    parked = broker.wait_message("probe.dead")
    assert parked.body == event.encode()
    assert parked.headers["bus-reason"] == "never"
    assert parked.headers["bus-reason-class"] == "permanent"
    assert parked.headers["bus-routing-key"] == "order.created.north"
    assert parked.headers["bus-attempt"] == 1
    assert parked.headers["x-mine"] == "kept"
    assert {"bus-first-failed-at", "bus-parked-at"} <= parked.headers.keys()
    assert parked.properties.message_id == event.id
    assert parked.properties.delivery_mode == 2
    wait_until(lambda: reports.of(event.subject) == ["attention"])


@pytest.mark.parametrize("step", [["bug"], ["wrong"], ["done", 4711], ["done", "x" * 300], ["later", "5"]])
def test_bug_is_tried_five_times_and_parked(
    broker: Broker, start_probe: Any, reports: Reports, step: list[str]
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, step)
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    parked = broker.wait_message("probe.dead", 15)
    assert parked.headers["bus-reason-class"] == "exhausted"
    assert parked.headers["bus-attempt"] == 5
    assert probe.calls(event.subject) == 5
    wait_until(lambda: reports.of(event.subject) == ["waiting", "attention"])


def test_log_of_a_bug_says_where_it_is_and_holds_no_text_of_it(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["bug", "Jane Doe"], ["done"])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: "done" in reports.of(event.subject))
    assert "probe_department.py" in probe.output()
    assert "Jane Doe" not in probe.output()


def test_base_exception_in_a_handler_does_not_lose_its_slot(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(max_workers=1)
    event, other = an_event(), an_event()
    probe.script(event.subject, ["timeout"], ["done"])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    broker.publish(other, "order.created.north")
    wait_until(lambda: "done" in reports.of(event.subject) and "done" in reports.of(other.subject))


def test_handler_over_its_limit_counts_as_transient(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(handler_timeout_s=0.3)
    event = an_event()
    probe.script(event.subject, ["sleep", 30], ["done"])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["waiting", "done"])


def test_later_comes_back_uncounted_and_unreported(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["later", 0.9], ["done"])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])
    first, second = [float(line.split()[0]) for line in (probe.folder / f"{event.subject}.calls").open()]
    assert second - first >= 0.7, "came back before its time"


def test_in_hand_is_acknowledged_and_reported_by_the_follower(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["in hand", "job 17"])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])
    assert reports.last(event.subject).reference == "job 17"
    assert broker.depth("probe") == 0
    assert probe.calls(event.subject) == 1


def test_follower_that_has_to_wait_is_no_bug_and_reports_later(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["in hand", "job 17"])
    away = probe.folder / "printer away"
    away.touch()
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: len(probe.entries("recurring work put off")) > 1)
    entry = probe.entries("recurring work put off")[0]
    assert (entry["level"], entry["work"], entry["reason"]) == ("warning", "follow", "printer away")
    away.unlink()
    wait_until(lambda: reports.of(event.subject) == ["done"])
    assert "bug in the handler" not in probe.output()


UNDECODABLE = [
    (b"not json", "application/json", "not JSON"),
    (b"\xff\xfe", "application/json", "not UTF-8"),
    (b"{}", "text/plain", "content type"),
    (b"[1]", None, "not one JSON object"),
]


def test_undecodable_messages_are_parked_as_they_came_and_others_flow(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    start_probe().wait_ready()
    for body, content_type, _ in UNDECODABLE:
        broker.publish_body(body, "order.created.north", content_type=content_type)
    event = an_event()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])
    parked = [broker.wait_message("probe.dead") for _ in UNDECODABLE]
    for body, _, reason in UNDECODABLE:
        message = next(message for message in parked if message.body == body)
        assert reason in message.headers["bus-reason"]
        assert message.headers["bus-reason-class"] == "undecodable"
        assert message.headers["bus-routing-key"] == "order.created.north"


def test_forged_headers_are_no_reason_to_park(broker: Broker, start_probe: Any, reports: Reports) -> None:
    start_probe().wait_ready()
    event = an_event()
    forged = {
        "bus-attempt": "x",
        "bus-routing-key": 7,
        "bus-not-before": "soon",
        "bus-reason-class": [],
        "bus-replay": 1,
    }
    broker.publish(event, "order.created.north", headers=forged)
    wait_until(lambda: reports.of(event.subject) == ["done"])


@pytest.mark.parametrize("headers", [{}, {"bus-routing-key": "order.created.south"}, {"bus-routing-key": "a.b"}])
def test_delivery_to_one_department_finds_its_handler_whatever_its_header_says(
    broker: Broker, start_probe: Any, reports: Reports, headers: dict[str, str]
) -> None:
    start_probe().wait_ready()
    event = an_event(region="north")
    broker.publish_body(event.encode(), "probe", exchange="departments", headers=headers)
    wait_until(lambda: reports.of(event.subject) == ["done"])


def test_not_before_in_the_future_waits_in_the_tiers(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe().wait_ready()
    event = an_event()
    due = datetime.now(UTC) + timedelta(seconds=1)
    broker.publish_body(event.encode(), "probe", exchange="departments", headers={"bus-not-before": rfc3339(due)})
    wait_until(lambda: reports.of(event.subject) == ["done"])
    assert float((probe.folder / f"{event.subject}.calls").read_text().split()[0]) >= due.timestamp() - 0.2


def test_key_without_handler_goes_through_the_tiers_and_is_parked(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    start_probe().wait_ready()
    body = an_event().encode().replace(b"order.created", b"order.cancelled")
    broker.publish_body(body, "probe", exchange="departments", headers={"bus-routing-key": "order.cancelled.north"})
    parked = broker.wait_message("probe.dead", 15)
    assert parked.headers["bus-reason-class"] == "exhausted"
    assert parked.headers["bus-attempt"] == 5


def test_exhausted_after_its_time_is_parked(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(retry_for_s=1, breaker_failures=1000)
    event, other = an_event(), an_event()
    probe.script(event.subject, ["transient"])
    probe.wait_ready()
    broker.publish(other, "order.created.north")
    wait_until(lambda: reports.done([other]), 15, "another one is done")
    broker.publish(event, "order.created.north")
    parked = broker.wait_message("probe.dead", 15)
    assert parked.headers["bus-reason-class"] == "exhausted"
    wait_until(lambda: reports.of(event.subject) == ["waiting", "attention"])


def test_event_that_kills_its_worker_is_parked_and_no_other_with_it(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    poison, innocents = an_event(), [an_event() for _ in range(20)]
    probe.script(poison.subject, ["exit"])
    probe.wait_ready()
    for event in [*innocents[:10], poison, *innocents[10:]]:
        broker.publish(event, "order.created.north")

    def parked() -> int:
        if probe_now[-1].process.poll() is not None:
            probe_now.append(start_probe())
        return broker.depth("probe.dead")

    probe_now = [probe]
    wait_until(parked, 60)
    wait_until(lambda: all("done" in reports.of(event.subject) for event in innocents), 20)
    assert broker.depth("probe.dead") == 1
    message = broker.wait_message("probe.dead")
    assert message.properties.message_id == poison.id
    assert message.headers["bus-reason-class"] == "crashed"
    wait_until(lambda: reports.of(poison.subject) == ["attention"])
