"""A relay with a broker and a database of its own: as a process, and in a thread where statements are counted."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from eventbus.contract.identity import order_event_id
from eventbus.database import create_engine, upgrade
from eventbus.operator.private_node import PrivateNode
from eventbus.testing import an_event, an_order_number, wait_until
from eventbus.testing.broker import Broker, Node
from orders.relay.process import Relay
from orders.relay.settings import RelaySettings
from orders.store.tables import outbox

from eventbus import topology
from relay.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if {"start_relay", "process"} & set(fixtures):
            item.add_marker(pytest.mark.process)
        if "own_node" in fixtures:
            item.add_marker(pytest.mark.broker)


class Box:
    """The outbox, written as the gateway writes it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url)

    def put(self, count: int = 1, region: str = "north", connection: sa.Connection | None = None) -> list[str]:
        """The event ids of new rows, in order."""
        key, model = f"order.created.{region}", an_event(region=region)
        body = model.encode().decode()
        event_ids: list[str] = []
        rows: list[dict[str, Any]] = []
        for _ in range(count):  # thirty thousand events through the builders would take longer than their way out
            number = an_order_number()
            event_id = order_event_id(number, "0001")
            encoded = body.replace(model.subject, number).replace(model.id, event_id).encode()
            event_ids.append(event_id)
            rows.append({"routing_key": key, "event_id": event_id, "body": encoded})
        if connection is not None:
            connection.execute(outbox.insert(), rows)
        else:
            with self.engine.begin() as own:
                own.execute(outbox.insert(), rows)
        return event_ids

    def event_ids(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.scalars(sa.select(outbox.c.event_id).order_by(outbox.c.id)))

    def wait_empty(self, deadline_s: float = 20) -> None:
        wait_until(lambda: not self.event_ids(), deadline_s, "the outbox is empty")


class RelayProcess:
    """One relay, started by the test and ended with it."""

    def __init__(self, settings: RelaySettings, log: Path) -> None:
        self.log_path = log
        config = log.with_suffix(".yaml")
        config.write_text(settings.model_dump_json())  # JSON is YAML
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orders", "relay"],
                stderr=output,
                env=os.environ | {"LOG_FORMAT": "json", "CONFIG_FILE": str(config)},
            )
        self._url = ""

    def log(self, event: str) -> list[dict[str, Any]]:
        """The lines of that event so far."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    def wait_log(self, event: str, deadline_s: float = 20) -> dict[str, Any]:
        return wait_until(lambda: self.log(event), deadline_s, f"log line {event!r}")[-1]

    @property
    def url(self) -> str:
        self._url = self._url or str(self.wait_log("relay started", 60)["health"])
        return self._url

    def status(self, page: str) -> int:
        return requests.get(f"{self.url}{page}", timeout=5).status_code

    def metric(self, name: str) -> float | None:
        for line in requests.get(f"{self.url}/metrics", timeout=5).text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return None

    def wait_ready(self) -> "RelayProcess":
        wait_until(lambda: self.status("/readyz") == 200, 60, "the relay is ready")
        return self

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)


@pytest.fixture
def box(database_url: str) -> Iterator[Box]:
    """An empty outbox, on SQLite and on PostgreSQL."""
    yield from _box(database_url)


@pytest.fixture
def postgresql_box(postgresql: str) -> Iterator[Box]:
    yield from _box(postgresql)


@pytest.fixture
def sqlite_box(tmp_path: Path) -> Iterator[Box]:
    yield from _box(f"sqlite:///{tmp_path / 'orders.db'}")


def _box(url: str) -> Iterator[Box]:
    upgrade(url, "orders")
    box = Box(url)
    yield box
    box.engine.dispose()


@pytest.fixture(scope="session")
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateNode]:
    """A RabbitMQ that tests may stop, freeze and set off alarms on."""
    with PrivateNode(tmp_path_factory.mktemp("relay-node")) as node:
        yield node


@pytest.fixture
def own_broker(own_node: PrivateNode) -> Iterator[Broker]:
    with Broker(Node(own_node.amqp_url, own_node.management_url)) as broker:
        yield broker


@pytest.fixture
def tapped() -> Callable[[Broker], str]:
    """Makes the exchange and a queue that gets every event: its name."""

    def make(broker: Broker) -> str:
        broker.declare(topology.Topology(exchanges=(topology.Exchange(topology.EVENTS, "topic"),)))
        return broker.tap()

    return make


@pytest.fixture
def settings_for() -> Callable[..., RelaySettings]:
    """Settings of a relay between that outbox and that broker."""

    def make(box: Box, amqp_url: str, **fields: Any) -> RelaySettings:
        return RelaySettings.model_validate(
            {"amqp_url": amqp_url, "database_url": box.url, "health_port": 0, "archive_bytes_max": 1_000_000, **fields}
        )

    return make


@pytest.fixture
def start_relay(tmp_path: Path, settings_for: Callable[..., RelaySettings]) -> Iterator[Callable[..., RelayProcess]]:
    """Starts relay processes; those that still run at the end are killed."""
    relays: list[RelayProcess] = []

    def start(box: Box, amqp_url: str, **fields: Any) -> RelayProcess:
        relay = RelayProcess(settings_for(box, amqp_url, **fields), tmp_path / f"relay-{len(relays)}.log")
        relays.append(relay)
        return relay

    yield start
    for relay in relays:
        relay.end()


@pytest.fixture
def relay_in_thread(settings_for: Callable[..., RelaySettings]) -> Iterator[Callable[..., Relay]]:
    """Starts a relay inside this process, where its statements can be counted."""
    running: list[tuple[Relay, threading.Thread]] = []

    def start(box: Box, amqp_url: str, prepare: Callable[[Relay], None] = lambda _: None, **fields: Any) -> Relay:
        relay = Relay(settings_for(box, amqp_url, **fields))
        prepare(relay)
        thread = threading.Thread(target=relay.run)
        running.append((relay, thread))
        thread.start()
        return relay

    yield start
    for relay, thread in running:
        relay.request_stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def received() -> Callable[[Broker, str], list[str]]:
    """Takes every message out of a queue: their event ids, in the order of arrival."""

    def take(broker: Broker, queue: str) -> list[str]:
        ids: list[str] = []
        with broker.channel() as channel:
            for _, properties, _ in channel.consume(queue, auto_ack=True, inactivity_timeout=0.5):
                if properties is not None:
                    ids.append(properties.message_id)
                elif not channel.queue_declare(queue, passive=True).method.message_count:
                    break
        return ids

    return take
