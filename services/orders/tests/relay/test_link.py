"""The link breaks in the middle of publishing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika.exceptions
import pytest
from eventbus.operator.private_node import PrivateNode
from eventbus.testing import wait_until
from eventbus.testing.broker import Broker, Node
from eventbus.testing.node_files import wait_queue_on_disk
from orders.relay.batch import Batch, Row
from orders.relay.process import Relay

from eventbus import topology

Tapped = Callable[[Broker], str]
Received = Callable[[Broker, str], list[str]]


def test_batch_queued_just_before_the_channel_closes_is_lost_and_the_relay_goes_on(
    sqlite_box: Any, broker: Broker, tapped: Tapped, relay_in_thread: Callable[..., Relay], received: Received
) -> None:
    queue = tapped(broker)
    late = Batch([Row(1, "order.created.north", "never-sent", b"{}")])

    def prepare(relay: Relay) -> None:
        on_closed = relay.link._on_channel_closed

        def with_a_batch_in_the_queue(channel: Any, reason: Exception) -> None:
            if not late.lost:
                relay.link.send(late)
            on_closed(channel, reason)

        relay.link._on_channel_closed = with_a_batch_in_the_queue  # type: ignore[method-assign]

    relay = relay_in_thread(sqlite_box, broker.url_of("orders-relay"), prepare)
    put = sqlite_box.put(10)
    sqlite_box.wait_empty()
    _in_loop(relay, lambda channel: channel.exchange_declare("no-such-exchange", passive=True))
    assert late.wait(20)
    put += sqlite_box.put(10)
    sqlite_box.wait_empty()

    assert late.lost
    assert sorted(received(broker, queue)) == sorted(put)


def test_publishing_that_raises_costs_the_link_and_no_row(
    sqlite_box: Any, broker: Broker, tapped: Tapped, relay_in_thread: Callable[..., Relay], received: Received
) -> None:
    queue = tapped(broker)
    relay = relay_in_thread(sqlite_box, broker.url_of("orders-relay"))
    put = sqlite_box.put(10)
    sqlite_box.wait_empty()

    def break_channel(channel: Any) -> None:
        publish, calls = channel.basic_publish, iter(range(1000))

        def failing(*args: Any, **rest: Any) -> None:
            if next(calls) == 5:
                raise pika.exceptions.ChannelWrongStateError("closed")
            publish(*args, **rest)

        channel.basic_publish = failing

    _in_loop(relay, break_channel)
    put += sqlite_box.put(10)
    sqlite_box.wait_empty()

    assert set(received(broker, queue)) == set(put)
    assert relay.metrics.registry.get_sample_value("relay_links_lost_total") == 1


def _in_loop(relay: Relay, action: Callable[[Any], None]) -> None:
    """Do that with the link's channel, where the channel lives."""
    relay.loop.add_callback_threadsafe(lambda: action(relay.link._channel))


@pytest.fixture
def doomed_node(broker_node: Node, tmp_path: Path) -> Iterator[PrivateNode]:
    """A node of the test's own, to be killed. (`broker_node` marks the test.)"""
    with PrivateNode(tmp_path / "node") as node:
        yield node


def test_broker_killed_with_rows_unsent_and_in_flight_each_event_arrives(
    sqlite_box: Any, doomed_node: PrivateNode, tapped: Tapped, start_relay: Callable[..., Any], received: Received
) -> None:
    with Broker(Node(doomed_node.amqp_url, doomed_node.management_url)) as broker:
        queue = tapped(broker)
        relay = start_relay(sqlite_box, broker.amqp_url).wait_ready()
        for each in (queue, topology.ARCHIVE_FEED):
            wait_queue_on_disk(doomed_node, each)
        put = sqlite_box.put(6000)
        wait_until(lambda: len(sqlite_box.event_ids()) < 5500, 20, "rows go out")
        doomed_node.kill()
        assert sqlite_box.event_ids(), "killed too late: nothing was in flight any more"
        relay.wait_log("broker away")
        put += sqlite_box.put(100)
        doomed_node.start()
        sqlite_box.wait_empty(60)

        seen = received(broker, queue)
        assert set(seen) == set(put)
        assert len(seen) - len(put) <= 1500  # what was in flight may come twice: three claims of 500 rows
        assert relay.process.poll() is None
