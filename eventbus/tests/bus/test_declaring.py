"""The topology on a real broker: declared, declared again, and refused with one clear line."""

import pika
import pytest
from eventbus.operator import declare
from eventbus.operator.connection import connected
from eventbus.operator.errors import MismatchError, RefusedError
from eventbus.testing import an_event, an_order
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.topology import (
    ARCHIVE_FEED,
    DEPARTMENTS,
    EVENTS,
    UNCLAIMED,
    Binding,
    Queue,
    Topology,
    department,
    shared,
)

FAST = shared(FAST_TIERS_S, SMALL_ARCHIVE_BYTES)
PRINTER = department("printer", ("order.created.*",))


def test_whole_topology_is_declared_and_declaring_again_changes_nothing(broker: Broker) -> None:
    with connected(broker.amqp_url) as link:
        first = declare.declare(link, FAST)
        second = declare.declare(link, FAST)
    assert {step.happened for step in first} == {"declared"}
    assert {step.happened for step in second} == {"stands"}


def test_ensure_declares_only_where_something_is_missing(broker: Broker) -> None:
    with connected(broker.amqp_url) as link:
        assert "declared" in {step.happened for step in declare.ensure(link, FAST)}
        assert {step.happened for step in declare.ensure(link, FAST)} == {"stands"}


def test_ensure_completes_what_another_process_left_half_done(broker: Broker) -> None:
    half = Topology(exchanges=tuple(e for e in FAST.exchanges if e.name != DEPARTMENTS), queues=FAST.queues)
    with connected(broker.amqp_url) as link:
        declare.declare(link, half)  # died before the bindings
        declare.ensure(link, FAST)
    assert broker.bindings(ARCHIVE_FEED) == {(EVENTS, "#")}
    assert broker.bindings("retry.1h") == {("retry.1h", "#")}


def test_other_argument_on_the_broker_is_one_line_with_have_and_want(broker: Broker) -> None:
    broker.declare_shared()
    with connected(broker.amqp_url) as link, pytest.raises(MismatchError) as caught:
        declare.declare(link, shared(tiers_s=(0.3, 0.4, 0.6, 0.8, 1.0), archive_bytes_max=SMALL_ARCHIVE_BYTES))
    assert str(caught.value) == "queue retry.1s: x-message-ttl: have 200, want 300"


def test_missing_argument_on_the_broker_is_named(broker: Broker) -> None:
    with connected(broker.amqp_url) as link:
        plain = Topology(queues=(Queue(UNCLAIMED, {"x-queue-type": "quorum"}),))
        declare.declare(link, plain)
        with pytest.raises(MismatchError) as caught:
            declare.declare(link, FAST)
    assert str(caught.value) == "queue unclaimed: x-delivery-limit: have none, want 1000000"


def test_event_reaches_the_department_that_binds_its_region(broker: Broker) -> None:
    broker.declare_shared()
    broker.declare(department("printer", ("order.created.north",)))
    event = an_event(an_order(region="north"))
    broker.publish(event, "order.created.north")
    broker.publish(an_event(region="south"), "order.created.south")
    assert [m.properties.message_id for m in broker.peek("printer")] == [event.id]


def test_retry_returns_to_its_department_alone(broker: Broker) -> None:
    broker.declare_shared()
    for name in ("printer", "marketing"):
        broker.declare(department(name, ("order.created.*",)))
    broker.publish_body(b"{}", "printer", exchange="retry.1s")
    message = broker.wait_message("printer")
    assert (message.exchange, message.routing_key) == (DEPARTMENTS, "printer")
    assert broker.depth("marketing") == 0


def test_retry_for_a_department_that_has_gone_is_kept_as_unclaimed(broker: Broker) -> None:
    broker.declare_shared()
    broker.publish_body(b"{}", "gone", exchange="retry.1s")
    assert broker.wait_message(UNCLAIMED).routing_key == "gone"


def test_delivery_limit_parks_in_the_departments_own_dead_queue(broker: Broker) -> None:
    broker.declare_shared()
    broker.declare(PRINTER)
    broker.publish(an_event(region="north"), "order.created.north")
    with broker.channel() as channel:
        for _ in range(21):
            broker.wait_for(lambda: broker.depth("printer") + broker.depth("printer.dead"))
            method, _properties, _body = channel.basic_get("printer")
            if method is not None:
                channel.basic_nack(method.delivery_tag, requeue=True)
    broker.wait_for(lambda: broker.depth("printer.dead") == 1)
    assert broker.depth("printer") == 0


def test_every_event_reaches_the_archive_through_its_feed(broker: Broker) -> None:
    broker.declare_shared()
    for _ in range(20):
        broker.publish(an_event(), "order.created.north")
    broker.wait_for(lambda: (broker.management.queue("events.archive") or {}).get("messages") == 20, 15)
    assert broker.depth(ARCHIVE_FEED) == 0


def test_binding_to_an_exchange_that_is_missing_names_it(broker: Broker) -> None:
    stray = Topology(
        queues=(Queue("q", {"x-queue-type": "quorum"}),), bindings=(Binding("no.such.exchange", "q", "#"),)
    )
    with connected(broker.amqp_url) as link, pytest.raises(Exception, match="no\\.such\\.exchange"):
        declare.declare(link, stray)


def test_parked_message_keeps_body_and_properties(broker: Broker) -> None:
    broker.declare_shared()
    broker.declare(PRINTER)
    broker.publish_body(b"\xff\xfe", "printer", exchange="dead", message_id="7", headers={"bus-reason": "not UTF-8"})
    (parked,) = broker.peek("printer.dead")
    assert (parked.body, parked.properties.message_id) == (b"\xff\xfe", "7")
    assert isinstance(parked.properties, pika.BasicProperties)
    assert parked.headers["bus-reason"] == "not UTF-8"


def test_department_with_its_own_rights_declares_only_its_own(broker: Broker) -> None:
    broker.declare_shared()
    with connected(broker.url_of("printer")) as link:
        assert {step.happened for step in declare.ensure(link, FAST)} == {"stands"}
        assert {step.happened for step in declare.declare(link, PRINTER)} == {"declared"}
    assert broker.bindings("printer") == {("departments", "printer"), ("events", "order.created.*")}


def test_department_that_finds_a_shared_object_missing_names_it_and_the_remedy(broker: Broker) -> None:
    broker.declare_shared()
    with broker.channel() as channel:
        channel.exchange_delete("dead")
    with connected(broker.url_of("printer")) as link, pytest.raises(RefusedError) as caught:
        declare.ensure(link, FAST)
    assert str(caught.value).startswith("missing: exchange dead; this user may not declare")
