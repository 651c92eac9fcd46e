"""A department's start: what it declares and announces, and the one line with which it refuses to run."""

from typing import Any

import pytest
from eventbus.contract import decode
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import Reports
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

from eventbus import topology


def test_start_declares_binds_and_announces(broker: Broker, start_probe: Any, reports: Reports) -> None:
    announcements = broker.tap("department.*.*")
    start_probe().wait_ready()
    message = broker.wait_message(announcements)
    event = decode(message.body, message.properties.content_type, message.routing_key)
    assert message.routing_key == "department.joined.probe"
    assert event.data.patterns == ("order.created.*",)
    assert (event.source, event.subject, message.properties.app_id) == ("/departments/probe", "probe", "probe")
    assert message.properties.message_id == event.id
    assert broker.bindings("probe") == {("events", "order.created.*"), ("departments", "probe")}
    assert broker.bindings("probe.dead") == {("dead", "probe")}


def test_first_service_of_all_declares_what_is_shared(broker: Broker, start_probe: Any) -> None:
    start_probe(amqp_url=broker.amqp_url).wait_ready()  # on a broker where it may
    assert broker.has_queue("events.archive")
    assert broker.has_queue("retry.1h")


def test_retired_patterns_are_unbound(broker: Broker, start_probe: Any, reports: Reports) -> None:
    start_probe().wait_ready().stop()
    with broker.channel() as channel:
        channel.queue_bind("probe", "events", "order.retired.*")
    start_probe().wait_ready()
    assert ("events", "order.retired.*") not in broker.bindings("probe")


def test_configured_patterns_replace_the_handlers_own(broker: Broker, start_probe: Any, reports: Reports) -> None:
    start_probe().wait_ready().stop()
    start_probe(patterns="order.created.north, order.created.east").wait_ready()
    assert broker.bindings("probe") == {
        ("events", "order.created.north"),
        ("events", "order.created.east"),
        ("departments", "probe"),
    }


def _refusal(probe: Any) -> str:
    assert probe.process.wait(60) == 78
    lines = [line for line in probe.output().splitlines() if line.startswith("configuration: ")]
    assert len(lines) == 1
    assert "Traceback" not in probe.output()
    return str(lines[0])


def test_queue_with_other_arguments_is_one_line_and_exit_78(broker: Broker, start_probe: Any, reports: Reports) -> None:
    with broker.channel() as channel:
        arguments = dict(topology.department("probe", ()).queues[1].arguments) | {"x-delivery-limit": 3}
        channel.queue_declare("probe", durable=True, arguments=arguments)
    line = _refusal(start_probe())
    assert "queue probe: x-delivery-limit: have 3, want 20" in line


def test_refused_login_is_one_line_and_exit_78(broker: Broker, start_probe: Any) -> None:
    line = _refusal(start_probe(amqp_url=broker.amqp_url.replace("bus:", "nobody:")))
    assert "ACCESS_REFUSED" in line


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"department": "orders"}, "department: expected another name than orders"),
        ({"department": "unclaimed"}, "department: expected another name: what all share on the broker has that one"),
        ({"department": "Print Room"}, "department: expected a department's name"),
        ({"amqp_url": "http://localhost"}, "amqp_url: expected amqp://"),
        ({"max_workers": "many"}, "max_workers: expected a valid integer"),
        ({"prefetch": 0}, "prefetch: expected"),
        ({"colour": "red"}, "colour: expected no such key"),
        ({"patterns": "order.created.*.*"}, "patterns: expected patterns that a handler takes"),
        ({"patterns": "order..north"}, "patterns: expected"),
    ],
)
def test_wrong_setting_is_one_line_and_exit_78(
    broker: Broker, start_probe: Any, settings: dict[str, Any], expected: str
) -> None:
    assert expected in _refusal(start_probe(**{"amqp_url": broker.amqp_url, **settings}))


def test_port_in_use_is_one_line_and_exit_78(broker: Broker, start_probe: Any, reports: Reports) -> None:
    port = free_port()
    start_probe(health_port=port)
    wait_until(lambda: broker.consumers("probe") == 1, 20)
    assert f"127.0.0.1:{port}" in _refusal(start_probe(health_port=port))


def test_department_without_the_right_waits_for_what_is_shared(broker: Broker, start_probe: Any) -> None:
    probe = start_probe()
    wait_until(lambda: "run bus topology declare" in probe.output(), 20)
    assert probe.get("/readyz")[0] == 503
    broker.declare_shared()
    probe.wait_ready()
