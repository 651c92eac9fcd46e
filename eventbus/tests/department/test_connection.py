"""A department and its broker: restarts, cuts, alarms, deleted queues. It goes on without a restart of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from eventbus.operator.private_node import PrivateNode
from eventbus.testing.broker import Broker, Node
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import Reports
from eventbus.testing.node_files import wait_queue_on_disk
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

from eventbus import rights, topology


@pytest.fixture
def own_node(broker_node: Node, tmp_path: Path) -> Iterator[PrivateNode]:
    """A node of the test's own, to be killed. (`broker_node` marks the test.)"""
    with PrivateNode(tmp_path / "node") as node:
        yield node


def test_broker_killed_under_load_everything_is_handled_without_a_restart_of_ours(
    own_node: PrivateNode, start_probe: Any
) -> None:
    with Broker(Node(own_node.amqp_url, own_node.management_url)) as broker:
        broker.declare_shared()
        reports = Reports(broker)
        probe = start_probe(amqp_url=broker.url_of("probe"))
        events = [an_event() for _ in range(60)]
        for event in events:
            probe.script(event.subject, ["sleep", 0.05])
        probe.wait_ready()
        wait_queue_on_disk(own_node, "probe")
        with broker.channel() as channel:
            for event in events:
                channel.basic_publish(topology.EVENTS, "order.created.north", event.encode(), mandatory=True)
        wait_until(lambda: probe.calls(events[10].subject))
        own_node.kill()
        wait_until(lambda: probe.get("/readyz")[0] == 503)
        assert probe.get("/healthz")[0] == 200
        own_node.start()
        wait_until(lambda: all("done" in reports.of(event.subject) for event in events), 60)
        assert probe.process.poll() is None
        wait_until(lambda: broker.depth("probe") == 0)


def test_frozen_broker_is_noticed_by_silence_and_taken_up_again(own_node: PrivateNode, start_probe: Any) -> None:
    with Broker(Node(own_node.amqp_url, own_node.management_url)) as broker:
        broker.declare_shared()
        reports = Reports(broker)
        probe = start_probe(amqp_url=broker.url_of("probe"), heartbeat_s=2).wait_ready()
        own_node.pause()
        wait_until(lambda: probe.get("/readyz")[0] == 503, 30)
        own_node.resume()
        probe.wait_ready()
        event = an_event()
        broker.publish(event, "order.created.north")
        wait_until(lambda: reports.of(event.subject) == ["done"], 20)


def test_first_host_away_the_next_one_serves(broker: Broker, start_probe: Any, reports: Reports) -> None:
    start_probe(amqp_url=f"amqp://bus:x@127.0.0.1:{free_port()}/,{broker.url_of('probe')}").wait_ready()
    event = an_event()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])


def test_broker_away_at_the_start_is_waited_for(own_node: PrivateNode, start_probe: Any) -> None:
    with Broker(Node(own_node.amqp_url, own_node.management_url)) as broker:
        broker.declare_shared()
        own_url = broker.url_of("probe")
        own_node.stop()
        probe = start_probe(amqp_url=own_url)
        wait_until(lambda: probe.get("/readyz")[0] == 503, 20)
        own_node.start()
        probe.wait_ready()


def _connections(broker: Broker) -> list[str]:
    answer = requests.get(f"{broker.management_url}/api/connections", timeout=10).json()
    return [c["name"] for c in answer if c.get("vhost") == broker.vhost and "probe" in str(c.get("client_properties"))]


def test_connections_closed_by_an_operator_come_back_and_nothing_is_lost(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe()
    events = [an_event() for _ in range(30)]
    for event in events:
        probe.script(event.subject, ["sleep", 0.1])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    for name in wait_until(lambda: _connections(broker), 20):
        requests.delete(f"{broker.management_url}/api/connections/{quote(name, safe='')}", timeout=10)
    wait_until(lambda: all("done" in reports.of(event.subject) for event in events), 30)
    assert broker.depth("probe.dead") == 0


def test_deleted_queue_is_declared_again(broker: Broker, start_probe: Any, reports: Reports) -> None:
    start_probe().wait_ready()
    with broker.channel() as channel:
        channel.queue_delete("probe")
    wait_until(lambda: broker.consumers("probe") == 1, 20)
    event = an_event()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"])


def test_parked_message_whose_queue_was_deleted_is_not_lost(broker: Broker, start_probe: Any, reports: Reports) -> None:
    """`dead` without a queue would swallow it with a confirm: it must be routed, else the topology is mended first."""
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["permanent"])
    probe.wait_ready()
    with broker.channel() as channel:
        channel.queue_delete("probe.dead")
    broker.publish(event, "order.created.north")
    wait_until(lambda: probe.metric('bus_events_parked_total{department="probe",reason_class="permanent"}'), 20)
    assert broker.wait_message("probe.dead", 20).properties.message_id == event.id


def test_deleted_binding_of_a_retry_tier_is_made_again_by_who_may(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe(amqp_url=broker.amqp_url)
    event = an_event()
    probe.script(event.subject, ["transient"], ["done"])
    probe.wait_ready()
    with broker.channel() as channel:
        channel.queue_unbind("retry.1s", "retry.1s", "#")
    broker.publish(event, "order.created.north")
    wait_until(lambda: "done" in reports.of(event.subject), 20)
    assert broker.depth("probe.dead") == 0
    assert broker.bindings("retry.1s") == {("retry.1s", "#")}


def test_what_all_share_lost_is_waited_for_and_all_goes_on_when_it_stands_again(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    """A department may not declare it; its own queues and bindings it makes again."""
    probe = start_probe()
    retried, parked = an_event(), an_event()
    probe.script(retried.subject, ["transient"], ["done"])
    probe.script(parked.subject, ["permanent"])
    probe.wait_ready()
    with broker.channel() as channel:
        for exchange in ("dead", "departments", "events"):
            channel.exchange_delete(exchange)
        for queue in ("retry.1s", "probe"):
            channel.queue_delete(queue)
    wait_until(lambda: "run bus topology declare" in probe.output(), 30)
    assert probe.get("/readyz")[0] == 503
    broker.declare_shared()
    reports = Reports(broker)
    probe.wait_ready()
    for event in (retried, parked):
        broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(retried.subject) == ["waiting", "done"], 30)
    wait_until(lambda: broker.depth("probe.dead") == 1, 30)


def test_exchange_declared_anew_while_nothing_flows_passes_events_on_again(broker: Broker, start_probe: Any) -> None:
    """No consumer is cancelled for it, and no publish fails: the archive's binding alone confirms what is published."""
    broker.declare_shared()
    start_probe(confirm_timeout_s=1).wait_ready()
    bindings = broker.bindings("probe")
    with broker.channel() as channel:
        channel.exchange_delete(topology.EVENTS)
    broker.declare_shared()
    wait_until(lambda: broker.bindings("probe") == bindings, 20)
    reports = Reports(broker)
    event = an_event()
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.subject) == ["done"], 20)


def test_department_that_may_not_report_pauses_and_parks_nothing(broker: Broker, start_probe: Any) -> None:
    broker.declare_shared()
    mute = replace(rights.of("probe").topic[0], write=r"^department\.joined\.probe$")
    own = replace(rights.of("probe"), topic=(mute, *rights.of("probe").topic[1:]))
    probe = start_probe(amqp_url=broker.url_of("probe", own)).wait_ready()
    events = [an_event() for _ in range(5)]
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: "the broker refuses us" in (probe.condition().get("paused_by") or ""))
    assert sum(probe.calls(event.subject) for event in events) <= 10
    assert broker.depth("probe.dead") == 0


def test_sigterm_runs_nothing_that_it_gives_back(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(max_workers=1, prefetch=3, drain_s=1)
    warm_up, events = an_event(), [an_event() for _ in range(3)]
    for event in events:
        probe.script(event.subject, ["sleep", 30])
    probe.wait_ready()
    broker.publish(warm_up, "order.created.north")
    wait_until(lambda: reports.of(warm_up.subject))
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: sum(probe.calls(event.subject) for event in events) == 1)
    assert probe.stop() == 0
    assert sum(probe.calls(event.subject) for event in events) == 1
    wait_until(lambda: broker.depth("probe") == 3)


def test_sigterm_finishes_what_was_delivered_and_waits_for_a_worker(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe(max_workers=1, prefetch=5)
    warm_up, events = an_event(), [an_event() for _ in range(5)]
    for event in events:
        probe.script(event.subject, ["sleep", 0.4])
    probe.wait_ready()
    broker.publish(warm_up, "order.created.north")
    wait_until(lambda: reports.of(warm_up.subject))
    broker.publish_all((event, "order.created.north") for event in events)
    wait_until(lambda: sum(probe.calls(event.subject) for event in events) == 1)
    wait_until(lambda: broker.depth("probe") == 0)
    assert probe.stop() == 0
    assert all(reports.of(event.subject) == ["done"] for event in events)
    assert broker.depth("probe") == 0


def test_sigterm_finishes_what_is_in_hand_and_redelivers_nothing(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe(max_workers=10)
    events = [an_event() for _ in range(10)]
    for event in events:
        probe.script(event.subject, ["sleep", 1.5])
    probe.wait_ready()
    warm_up = an_event()
    broker.publish(warm_up, "order.created.north")
    wait_until(lambda: probe.calls(warm_up.subject))
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: all(probe.calls(event.subject) for event in events))
    assert probe.stop() == 0
    assert all(reports.of(event.subject) == ["done"] for event in events)
    assert broker.depth("probe") == 0


def test_sigterm_gives_back_what_takes_longer_than_the_drain(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe(drain_s=0.5)
    events = [an_event() for _ in range(12)]
    for event in events:
        probe.script(event.subject, ["sleep", 60])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: all(probe.calls(event.subject) for event in events))
    assert probe.stop() == 0
    wait_until(lambda: broker.depth("probe") == 12)


def test_sigterm_while_a_c_call_holds_the_hub_still_ends_the_process(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe(drain_s=0.5)
    event = an_event()
    probe.script(event.subject, ["hold hub", 60])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: probe.calls(event.subject))
    assert probe.stop() == 75
    wait_until(lambda: broker.depth("probe") == 1)


def test_health_answers_while_all_workers_are_busy(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(max_workers=2)
    events = [an_event() for _ in range(2)]
    for event in events:
        probe.script(event.subject, ["sleep", 60])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: all(probe.calls(event.subject) for event in events))
    assert probe.get("/healthz")[0] == 200
    assert probe.get("/readyz")[0] == 200
    assert 'bus_events_in_hand{department="probe"} 2.0' in probe.get("/metrics")[1]
    assert probe.get("/nothing")[0] == 404
