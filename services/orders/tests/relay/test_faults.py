"""The relay, its database or its broker fail."""

import signal
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
import sqlalchemy as sa
from eventbus.operator.private_node import PrivateNode
from eventbus.testing import wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.rabbitmqctl import rabbitmqctl

from eventbus import topology

Tapped = Callable[[Broker], str]
Received = Callable[[Broker, str], list[str]]
StartRelay = Callable[..., Any]


def test_killed_relay_loses_nothing_and_repeats_only_what_was_in_flight(
    box: Any, broker: Broker, tapped: Tapped, start_relay: StartRelay, received: Received
) -> None:
    queue = tapped(broker)
    put = box.put(4000)
    for left in (3500, 2000):
        relay = start_relay(box, broker.url_of("orders-relay"))
        while len(box.event_ids()) > left:
            assert relay.process.poll() is None
        relay.kill()
    start_relay(box, broker.url_of("orders-relay"))
    box.wait_empty(30)

    seen = Counter(received(broker, queue))
    assert set(seen) == set(put)
    assert seen.total() - len(put) <= 2 * 1500


def test_two_relays_share_the_rows(
    postgresql_box: Any, broker: Broker, tapped: Tapped, start_relay: StartRelay, received: Received
) -> None:
    queue = tapped(broker)
    one = start_relay(postgresql_box, broker.url_of("orders-relay")).wait_ready()
    two = start_relay(postgresql_box, broker.url_of("orders-relay")).wait_ready()
    put: list[str] = []
    while not (one.metric("relay_published_total") and two.metric("relay_published_total")):
        assert len(put) < 30_000, "one of the two does nothing"
        put += postgresql_box.put(600)
    postgresql_box.wait_empty(30)

    assert sorted(received(broker, queue)) == sorted(put)  # each exactly once


def test_second_relay_of_a_sqlite_file_waits_and_takes_over(
    sqlite_box: Any, broker: Broker, tapped: Tapped, start_relay: StartRelay
) -> None:
    tapped(broker)
    first = start_relay(sqlite_box, broker.url_of("orders-relay")).wait_ready()
    second = start_relay(sqlite_box, broker.url_of("orders-relay"))
    second.wait_log("waiting for the other relay")
    assert second.status("/healthz") == 200
    assert second.status("/readyz") == 503

    first.kill()
    second.wait_ready()
    sqlite_box.put()

    sqlite_box.wait_empty()


def test_frozen_relay_frees_its_rows_when_its_session_times_out(
    postgresql_box: Any, own_node: PrivateNode, own_broker: Broker, tapped: Tapped, start_relay: StartRelay
) -> None:
    tapped(own_broker)
    url = own_broker.url_of("orders-relay")
    frozen = start_relay(postgresql_box, url, idle_in_transaction_s=1, confirm_timeout_s=100)
    frozen.wait_ready()
    own_node.pause()  # so that its claim is held open, waiting for confirms
    try:
        put = postgresql_box.put(10)
        wait_until(lambda: _locked(postgresql_box, len(put)), 20, "the rows are claimed")
        frozen.signal(signal.SIGSTOP)
    finally:
        own_node.resume()
    start_relay(postgresql_box, url)

    postgresql_box.wait_empty()
    frozen.signal(signal.SIGCONT)
    again = postgresql_box.put(5)
    wait_until(lambda: not set(again) & set(postgresql_box.event_ids()), 20, "both relays work")


def _locked(box: Any, rows: int) -> bool:
    free = sa.text("SELECT count(*) FROM (SELECT id FROM outbox FOR UPDATE SKIP LOCKED) AS free")
    with box.engine.connect() as connection:
        return len(box.event_ids()) == rows and connection.scalar(free) == 0


def test_broker_stopped_and_started_everything_goes_out_without_a_restart(
    sqlite_box: Any,
    own_node: PrivateNode,
    own_broker: Broker,
    tapped: Tapped,
    start_relay: StartRelay,
    received: Received,
) -> None:
    queue = tapped(own_broker)
    relay = start_relay(sqlite_box, own_broker.url_of("orders-relay")).wait_ready()
    first = sqlite_box.put(10)
    sqlite_box.wait_empty()
    own_node.stop()
    try:
        relay.wait_log("broker away")
        second = sqlite_box.put(10)
        assert relay.status("/healthz") == 200
        assert relay.metric("relay_link_up") == 0
    finally:
        own_node.start()

    sqlite_box.wait_empty(30)
    assert set(received(own_broker, queue)) == set(first + second)
    assert len(relay.log("link up")) == 2


def test_silent_broker_is_dropped_and_the_next_host_taken(
    sqlite_box: Any,
    own_node: PrivateNode,
    own_broker: Broker,
    broker: Broker,
    tapped: Tapped,
    start_relay: StartRelay,
) -> None:
    """A node that hangs keeps its connections open and confirms nothing."""
    for each in (own_broker, broker):
        tapped(each)
    urls = f"{own_broker.url_of('orders-relay')},{broker.url_of('orders-relay')}"
    relay = start_relay(sqlite_box, urls, confirm_timeout_s=2).wait_ready()
    own_port = urlsplit(own_broker.amqp_url).port

    def is_on_own_node() -> bool:  # the hosts were shuffled: make it go on to the node that we may freeze
        if relay.log("link up")[-1]["port"] == own_port:
            return True
        _close_connections(broker)
        return False

    wait_until(is_on_own_node, 30, "the relay is on the own node")
    own_node.pause()
    try:
        sqlite_box.put(5)
        sqlite_box.wait_empty(30)
    finally:
        own_node.resume()


def test_memory_alarm_holds_the_rows_and_its_end_lets_them_go(
    box: Any, own_node: PrivateNode, own_broker: Broker, tapped: Tapped, start_relay: StartRelay, received: Received
) -> None:
    queue = tapped(own_broker)
    # a transaction that waits for the broker is rolled back after half a second: the database would end it after one
    relay = start_relay(
        box, own_broker.url_of("orders-relay"), idle_in_transaction_s=1, confirm_timeout_s=2
    ).wait_ready()
    _memory_limit(own_node, "0.00001")
    try:
        put = box.put(100)
        relay.wait_log("broker blocks")
        assert relay.metric("relay_link_blocked") == 1
        put += box.put(100)
        wait_until(lambda: not _in_transaction(box), 20, "no transaction is held open")
        assert len(box.event_ids()) == 200
    finally:
        _memory_limit(own_node, "0.4")
    box.wait_empty()

    assert sorted(received(own_broker, queue)) == sorted(put)
    assert not relay.log("broker away")


def test_sigterm_while_the_broker_blocks_exits_0_and_keeps_the_rows(
    sqlite_box: Any, own_node: PrivateNode, own_broker: Broker, tapped: Tapped, start_relay: StartRelay
) -> None:
    """The broker does not even answer that the connection is closed."""
    tapped(own_broker)
    relay = start_relay(sqlite_box, own_broker.url_of("orders-relay"), drain_s=0.5).wait_ready()
    _memory_limit(own_node, "0.00001")
    try:
        put = sqlite_box.put(10)
        relay.wait_log("broker blocks")
        relay.signal(signal.SIGTERM)
        assert relay.process.wait(20) == 0
        assert sqlite_box.event_ids() == put
    finally:
        _memory_limit(own_node, "0.4")


def _close_connections(broker: Broker) -> None:
    url = f"{broker.management_url}/api/vhosts/{broker.vhost}/connections"
    for connection in requests.get(url, timeout=5).json():
        requests.delete(f"{broker.management_url}/api/connections/{quote(connection['name'])}", timeout=5)


def _memory_limit(node: PrivateNode, share: str) -> None:
    rabbitmqctl(node, "set_vm_memory_high_watermark", share)


def _in_transaction(box: Any) -> int:
    if box.engine.dialect.name == "sqlite":
        return 0
    held = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders relay'"
        " AND state = 'idle in transaction' AND datname = current_database()"
    )
    with box.engine.connect() as connection:
        return int(connection.scalar(held) or 0)


def test_database_sessions_ended_the_relay_goes_on(
    postgresql_box: Any, broker: Broker, tapped: Tapped, start_relay: StartRelay, received: Received
) -> None:
    queue = tapped(broker)
    start_relay(postgresql_box, broker.url_of("orders-relay")).wait_ready()
    put = postgresql_box.put(3000)
    with postgresql_box.engine.connect() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'orders relay%' AND datname = current_database()"
            )
        )
    put += postgresql_box.put(10)
    postgresql_box.wait_empty()

    assert set(received(broker, queue)) == set(put)


@pytest.mark.parametrize("away", ["broker", "database"])
def test_start_without_its_surroundings_waits_unready_and_begins_when_they_come(
    away: str,
    postgresql_server: str,
    own_node: PrivateNode,
    own_broker: Broker,
    tapped: Tapped,
    start_relay: StartRelay,
    postgresql_box: Any,
) -> None:
    tapped(own_broker)
    put = postgresql_box.put(3)
    if away == "broker":
        own_node.stop()
    else:
        name = postgresql_box.url.rpartition("/")[2]
        _allow_connections(postgresql_server, name, allowed=False)
    try:
        relay = start_relay(postgresql_box, own_broker.amqp_url)
        relay.wait_log(f"{away} away")
        assert relay.status("/healthz") == 200
        assert relay.status("/readyz") == 503
    finally:
        if away == "broker":
            own_node.start()
        else:
            _allow_connections(postgresql_server, name, allowed=True)

    relay.wait_ready()
    postgresql_box.wait_empty()
    assert len(put) == 3


def _allow_connections(server_url: str, database: str, *, allowed: bool) -> None:
    engine = sa.create_engine(server_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"ALTER DATABASE {database} ALLOW_CONNECTIONS {str(allowed).lower()}"))
    engine.dispose()


def test_exchange_deleted_is_made_again(
    sqlite_box: Any, broker: Broker, tapped: Tapped, start_relay: StartRelay
) -> None:
    tapped(broker)
    relay = start_relay(sqlite_box, broker.amqp_url, confirm_timeout_s=1).wait_ready()
    with broker.channel() as channel:
        channel.exchange_delete(topology.EVENTS)
    sqlite_box.put()

    sqlite_box.wait_empty(30)
    waited = relay.log("exchange was deleted")
    assert [entry["waiting_s"] for entry in waited] == [3], "departments had time to bind their queues again"
