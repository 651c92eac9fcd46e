"""From the outbox to the exchange, with everything well."""

import signal
from collections.abc import Callable
from typing import Any

import requests
import sqlalchemy as sa
from eventbus.contract import decode
from eventbus.testing import wait_until
from eventbus.testing.broker import Broker

from eventbus import topology


def test_committed_rows_are_published_as_the_contract_says_and_deleted(
    box: Any, broker: Broker, tapped: Callable[[Broker], str], start_relay: Callable[..., Any]
) -> None:
    queue = tapped(broker)
    start_relay(box, broker.url_of("orders-relay")).wait_ready()

    (event_id,) = box.put()

    message = broker.wait_message(queue)
    box.wait_empty()
    properties = message.properties
    event = decode(message.body, properties.content_type, message.routing_key)
    assert message.routing_key == "order.created.north"
    assert (properties.delivery_mode, properties.message_id, properties.type) == (2, event_id, "order.created")
    assert (properties.app_id, properties.content_type) == ("orders", "application/cloudevents+json")
    assert properties.timestamp > 0
    assert event.id == event_id


def test_empty_broker_gets_the_shared_topology(
    sqlite_box: Any, broker: Broker, start_relay: Callable[..., Any]
) -> None:
    (event_id,) = sqlite_box.put()
    start_relay(sqlite_box, broker.amqp_url).wait_ready()

    sqlite_box.wait_empty()
    names = {queue.name for queue in topology.shared().queues}
    assert all(broker.has_queue(name) for name in names)
    with broker.channel() as channel:
        channel.basic_qos(prefetch_count=10)
        _, properties, _ = next(
            channel.consume(topology.ARCHIVE_STREAM, arguments={"x-stream-offset": "first"}, inactivity_timeout=10)
        )
    assert properties.message_id == event_id


def test_probes_and_metrics_tell_how_it_is(box: Any, broker: Broker, start_relay: Callable[..., Any]) -> None:
    relay = start_relay(box, broker.amqp_url).wait_ready()
    box.put(3)
    box.wait_empty()

    assert relay.status("/healthz") == 200
    assert relay.status("/nothing") == 404
    assert relay.metric("relay_published_total") == 3
    assert relay.metric("relay_link_up") == 1
    assert relay.metric("relay_link_blocked") == 0
    assert relay.metric("outbox_rows") is not None
    assert relay.metric("outbox_oldest_age_seconds") is not None
    assert relay.metric("relay_confirm_seconds_count") >= 1
    assert "Daníel" not in requests.get(f"{relay.url}/metrics", timeout=5).text + relay.log_path.read_text()


def test_sigterm_in_a_stream_of_orders_exits_0_and_leaves_only_what_is_unsent(
    box: Any,
    broker: Broker,
    tapped: Callable[[Broker], str],
    start_relay: Callable[..., Any],
    received: Callable[[Broker, str], list[str]],
) -> None:
    queue = tapped(broker)
    put = box.put(3000)
    relay = start_relay(box, broker.url_of("orders-relay"), claim_rows=100)
    wait_until(lambda: len(box.event_ids()) < 2900, 60, "some rows are gone")

    relay.signal(signal.SIGTERM)

    assert relay.process.wait(10) == 0
    left, sent = box.event_ids(), received(broker, queue)
    assert sorted(left + sent) == sorted(put)  # each exactly once: sent or still there
    assert relay.wait_log("relay stopped")["exit_code"] == 0


def test_rows_committed_late_under_lower_ids_go_out_too(
    postgresql_box: Any, broker: Broker, tapped: Callable[[Broker], str], start_relay: Callable[..., Any]
) -> None:
    """A reader that remembers the last id would miss them."""
    tapped(broker)
    start_relay(postgresql_box, broker.url_of("orders-relay")).wait_ready()
    with postgresql_box.engine.connect() as late:
        postgresql_box.put(2, connection=late)
        postgresql_box.put(2)
        postgresql_box.wait_empty()
        late.commit()

    postgresql_box.wait_empty()


def test_ids_are_never_used_again(box: Any) -> None:
    """A plain rowid of SQLite would be, once the table is empty."""

    def highest() -> int:
        with box.engine.begin() as connection:
            return int(connection.scalar(sa.text("SELECT max(id) FROM outbox")))

    box.put(2)
    before = highest()
    with box.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM outbox"))
    box.put()

    assert highest() > before
