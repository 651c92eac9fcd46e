"""What strangers may put into a message: it is handled or parked, and never ends a connection or a neighbour's work."""

import json
from typing import Any

import pytest
from eventbus.contract import BusHeaders, Event
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import DepartmentProcess, Reports
from eventbus.testing.waiting import wait_until


def assert_connected_once(probe: DepartmentProcess) -> None:
    assert probe.metric('bus_link_generation{department="probe"}') == 1.0


def with_attribute(event: Event[Any], **attributes: Any) -> bytes:
    return json.dumps(json.loads(event.encode()) | attributes).encode()


def test_properties_that_are_not_utf8_are_parked_and_the_connection_lives(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe().wait_ready()
    odd, event = an_event(), an_event()
    broker.publish_body(odd.encode(), "order.created.north", message_id=b"\xff\xfe")
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])
    parked = broker.wait_message("probe.dead")
    assert parked.body == odd.encode()
    assert parked.headers["bus-reason-class"] == "undecodable"
    assert_connected_once(probe)


def test_body_of_megabytes_is_parked_and_others_flow(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe().wait_ready()
    event = an_event()
    broker.publish_body(b" " * 5_000_000, "order.created.north")
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])
    parked = broker.wait_message("probe.dead")
    assert len(parked.body) == 5_000_000
    assert "larger than" in parked.headers["bus-reason"]
    assert_connected_once(probe)


@pytest.mark.parametrize("traceparent", ["\ud800", "x", 7, "00-" + "0" * 31])
def test_odd_trace_context_is_ignored(broker: Broker, start_probe: Any, reports: Reports, traceparent: Any) -> None:
    probe = start_probe().wait_ready()
    event = an_event()
    broker.publish_body(with_attribute(event, traceparent=traceparent), "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])
    assert probe.calls(event.subject) == 1


def test_copies_that_a_publisher_asked_for_are_not_sent_again(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["transient"], ["permanent"])
    probe.wait_ready()
    with broker.channel() as channel:
        channel.queue_declare("other", durable=True, arguments={"x-queue-type": "quorum"})
        for exchange in ("retry.1s", "dead"):
            channel.queue_bind("other", exchange, "other")
    broker.publish(event, "order.created.north", headers={"CC": ["other"], "BCC": ["other"]})
    wait_until(lambda: "attention" in reports.of(event.subject))
    assert broker.depth("other") == 0


def test_headers_that_leave_no_room_for_ours_are_dropped(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["transient"], ["permanent"])
    probe.wait_ready()
    broker.publish(event, "order.created.north", headers={"x-large": "y" * 130_000})
    parked = broker.wait_message("probe.dead")
    assert parked.headers["bus-headers-dropped"] is True
    assert parked.body == event.encode()
    assert_connected_once(probe)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-delivery-count": 50},
        {"bus-not-before": "9000-01-01T00:00:00Z"},
        {"bus-attempt": 4, "bus-first-failed-at": "2001-01-01T00:00:00Z"},
        {"bus-reason-class": "crashed", "bus-parked-at": "2001-01-01T00:00:00Z"},
    ],
)
def test_history_that_a_publisher_invented_is_not_believed(
    broker: Broker, start_probe: Any, reports: Reports, headers: dict[str, Any]
) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["transient"], ["done"])
    probe.wait_ready()
    broker.publish(event, "order.created.north", headers=headers)
    wait_until(lambda: reports.of(event.subject) == ["waiting", "done"])


def test_time_that_we_never_write_does_not_hold_an_event_for_ever(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    start_probe().wait_ready()
    event = an_event()
    headers = BusHeaders(routing_key="order.created.north").write() | {"bus-not-before": "9000-01-01T00:00:00Z"}
    broker.publish_body(event.encode(), "probe", exchange="departments", headers=headers)
    wait_until(lambda: reports.of(event.subject) == ["done"])


def test_event_whose_number_no_report_can_hold_is_parked_without_one(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    start_probe().wait_ready()
    event = an_event()
    body = with_attribute(event, type="order.cancelled", data={"order_number": "A/1"})
    broker.publish_body(body, "probe", exchange="departments", headers={"bus-routing-key": "order.cancelled.north"})
    parked = broker.wait_message("probe.dead", 15)
    assert parked.headers["bus-attempt"] == 5
