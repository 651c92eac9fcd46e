"""Events that the broker refuses or has no queue for."""

from collections.abc import Callable
from typing import Any

from eventbus.testing import wait_until
from eventbus.testing.broker import Broker

from eventbus import topology


def _full_queue(broker: Broker, pattern: str) -> str:
    """A queue that takes no more, but for what is on the way when it says so (a burst of fifty on RabbitMQ 4.0)."""
    with broker.channel() as channel:
        channel.queue_declare("full", durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        channel.queue_bind("full", topology.EVENTS, pattern)
    return "full"


def test_nacked_rows_stay_and_go_out_when_there_is_room_while_others_flow(
    box: Any,
    broker: Broker,
    tapped: Callable[[Broker], str],
    start_relay: Callable[..., Any],
    received: Callable[[Broker, str], list[str]],
) -> None:
    queue = tapped(broker)
    full = _full_queue(broker, "order.created.south")
    relay = start_relay(box, broker.url_of("orders-relay")).wait_ready()
    south = box.put(1000, region="south")
    wait_until(lambda: relay.log("broker refuses events"), 20, "a nack")
    north = box.put(50, region="north")

    wait_until(lambda: set(box.event_ids()) <= set(south), 20, "the other region's rows are gone")
    assert box.event_ids(), "what was refused stays"
    assert relay.metric("relay_nacked_total") > 0
    assert relay.metric("relay_held_keys") == 1
    with broker.channel() as channel:
        channel.queue_unbind(full, topology.EVENTS, "order.created.south")
    box.wait_empty()

    assert set(received(broker, queue)) == set(north + south)


def test_full_queue_gives_its_neighbours_few_copies(
    sqlite_box: Any,
    broker: Broker,
    tapped: Callable[[Broker], str],
    start_relay: Callable[..., Any],
    received: Callable[[Broker, str], list[str]],
) -> None:
    """Retrying every row each second was seen to make 15,000 copies of 2,000 events."""
    queue = tapped(broker)
    _full_queue(broker, "order.created.south")
    put = sqlite_box.put(2000, region="south")
    relay = start_relay(sqlite_box, broker.url_of("orders-relay")).wait_ready()
    wait_until(lambda: len(relay.log("broker refuses events")) >= 6, 30, "several refusals")

    copies = len(received(broker, queue))

    assert copies <= 2 * len(put)


def test_link_stays_up_while_keys_are_held(
    sqlite_box: Any, broker: Broker, tapped: Callable[[Broker], str], start_relay: Callable[..., Any]
) -> None:
    """A nack is an answer, and rows of a held key wait for their queue, not for the link."""
    tapped(broker)
    _full_queue(broker, "order.created.south")
    relay = start_relay(sqlite_box, broker.url_of("orders-relay"), progress_timeout_s=1.5, poll_s=0.1).wait_ready()
    sqlite_box.put(1000, region="south")

    wait_until(lambda: len(relay.log("broker refuses events")) >= 4, 30, "holds longer than the time-out")

    assert relay.metric("relay_held_keys") == 1
    assert relay.metric("relay_links_lost_total") == 0


def test_binding_of_the_archive_removed_is_bound_again_by_the_relay(
    box: Any, broker: Broker, start_relay: Callable[..., Any]
) -> None:
    """Where no department listens either, every event comes back: they stay, with an alarm, until that is mended."""
    relay = start_relay(box, broker.amqp_url).wait_ready()
    with broker.channel() as channel:
        channel.queue_unbind(topology.ARCHIVE_FEED, topology.EVENTS, "#")
    put = box.put(20)

    alarm = relay.wait_log("broker refuses events")
    relay.wait_log("bound again what all share")
    box.wait_empty()

    assert (alarm["level"], alarm["routing_key"]) == ("error", "order.created.north")
    assert relay.metric("relay_returned_total") >= 20
    assert relay.metric("relay_links_lost_total") == 0
    assert broker.bindings(topology.ARCHIVE_FEED) == {(topology.EVENTS, "#")}
    assert _archived(broker, len(put)) == set(put)


def _archived(broker: Broker, count: int) -> set[str]:
    with broker.channel() as channel:
        channel.basic_qos(prefetch_count=100)
        seen: set[str] = set()
        for method, properties, _ in channel.consume(
            topology.ARCHIVE_STREAM, arguments={"x-stream-offset": "first"}, inactivity_timeout=20
        ):
            assert method is not None, f"{len(seen)} of {count} are archived"
            channel.basic_ack(method.delivery_tag)
            seen.add(properties.message_id)
            if len(seen) == count:
                break
    return seen


def test_user_without_the_right_to_bind_keeps_unroutable_rows_until_a_queue_is_bound(
    sqlite_box: Any, broker: Broker, start_relay: Callable[..., Any], received: Callable[[Broker, str], list[str]]
) -> None:
    """The broker returns them and then acks them: that ack is no sign of success."""
    broker.declare_shared()
    relay = start_relay(sqlite_box, broker.url_of("orders-relay")).wait_ready()
    with broker.channel() as channel:
        channel.queue_unbind(topology.ARCHIVE_FEED, topology.EVENTS, "#")
        channel.queue_declare("north", durable=True)
        channel.queue_bind("north", topology.EVENTS, "*.*.north")
    put = sqlite_box.put(3, region="south")
    north = sqlite_box.put(3, region="north")

    wait_until(lambda: len(relay.log("broker refuses events")) >= 2, 20, "a probe comes back too")
    wait_until(lambda: sqlite_box.event_ids() == put, 20, "the routable rows are gone, the others stay")
    (told,) = relay.log("topology is incomplete")
    assert told["reason"].endswith("run bus topology declare")
    with broker.channel() as channel:
        channel.queue_bind("north", topology.EVENTS, "#")
    sqlite_box.wait_empty()

    assert set(received(broker, "north")) == set(put + north)
