"""How fast the relay empties an outbox, beside confirming one by one, and how long an event takes to its consumer.

    python tests/bench/bench_relay.py [--rows 20000] [--rounds 3]

Starts a private RabbitMQ and PostgreSQL of its own. Rates vary with the neighbours on the machine, the processor time
for a message hardly does: compare that, and rates of one run only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import sqlalchemy as sa
from eventbus.contract.identity import order_event_id
from eventbus.database import create_engine, upgrade
from eventbus.operator.private_node import PrivateNode
from eventbus.testing import an_event, an_order_number, wait_until
from eventbus.testing.broker import Broker, Node
from eventbus.testing.postgresql import PostgreSQLServer, create_database
from orders.store.tables import outbox
from orders.wakeup import SqliteWakeup, notify

from eventbus import topology

KEY = "order.created.north"
LATENCY_EVENTS = 500
LATENCY_RATE_PER_S = 100
ONE_BY_ONE_SHARE = 10
"""One by one is an order of magnitude slower: a tenth of the rows is enough."""


class Box:
    """An outbox of the benchmark's own."""

    def __init__(self, name: str, url: str) -> None:
        upgrade(url, "orders")
        self.name, self.url, self.engine = name, url, create_engine(url)
        self._model = an_event(region="north")
        self._body = self._model.encode().decode()
        autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._bell = SqliteWakeup(url) if name == "SQLite" else None
        self._notifying = None if self._bell else autocommit.connect()

    def rows(self, count: int) -> list[dict[str, Any]]:
        made = []
        for _ in range(count):
            number = an_order_number()
            event_id = order_event_id(number, "0001")
            body = self._body.replace(self._model.subject, number).replace(self._model.id, event_id).encode()
            made.append({"routing_key": KEY, "event_id": event_id, "body": body})
        return made

    def put(self, rows: list[dict[str, Any]]) -> None:
        with self.engine.begin() as connection:
            connection.execute(outbox.insert(), rows)

    def wake(self) -> None:
        if self._bell:
            self._bell.send()
        elif self._notifying is not None:
            notify(self._notifying)

    def count(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(outbox)) or 0)


@contextmanager
def running_relay(box: Box, amqp_url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    config = folder / "relay.yaml"
    config.write_text(json.dumps({"amqp_url": amqp_url, "database_url": box.url, "health_port": 0}))
    log = folder / "relay.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orders", "relay"],
            stderr=output,
            env=os.environ | {"CONFIG_FILE": str(config), "LOG_FORMAT": "json"},
        )
    try:
        wait_until(lambda: "relay started" in log.read_text(), 30, "the relay starts")
        health = next(json.loads(line)["health"] for line in log.read_text().splitlines() if "relay started" in line)
        wait_until(lambda: _is_ready(health), 30, "the relay is ready")
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(health: str) -> bool:
    try:
        with urllib.request.urlopen(f"{health}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def cpu_s(pid: int) -> float:
    """Processor seconds of all threads of the process."""
    nanoseconds = [int(p.read_text().split()[0]) for p in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(nanoseconds) / 1e9


def relay_rate(box: Box, amqp_url: str, folder: Path, rows: int) -> tuple[float, float]:
    """Messages a second, and processor µs a message, of a relay that is already up."""
    with running_relay(box, amqp_url, folder) as relay:
        box.put(box.rows(100))
        box.wake()
        wait_until(lambda: box.count() == 0, 30, "warm")
        made = box.rows(rows)
        cpu = cpu_s(relay.pid)
        box.put(made)
        started = time.monotonic()
        box.wake()
        while box.count():
            time.sleep(0.005)
        return rows / (time.monotonic() - started), (cpu_s(relay.pid) - cpu) / rows * 1e6


def one_by_one_rate(box: Box, amqp_url: str, rows: int) -> tuple[float, float]:
    """The same for a relay that publishes a row, awaits its confirm, deletes it, and commits each hundred."""
    box.put(box.rows(rows))
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    cpu, started = time.process_time(), time.monotonic()
    while True:
        with box.engine.begin() as database:
            claimed = database.execute(sa.select(outbox).order_by(outbox.c.id).limit(100)).all()
            for row in claimed:
                properties = pika.BasicProperties(delivery_mode=2, message_id=row.event_id)
                channel.basic_publish(topology.EVENTS, row.routing_key, row.body, properties, mandatory=True)
                database.execute(outbox.delete().where(outbox.c.id == row.id))
        if not claimed:
            break
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    connection.close()
    return rows / seconds, cpu / rows * 1e6


def latencies_ms(box: Box, amqp_url: str, folder: Path, queue: str) -> list[float]:
    """From the return of a commit to the consumer's callback, at a steady rate of single orders."""
    committed: dict[str, float] = {}
    delivered: dict[str, float] = {}
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = connection.channel()
    channel.queue_purge(queue)

    def on_message(_channel: Any, _method: Any, properties: pika.BasicProperties, _body: bytes) -> None:
        delivered[str(properties.message_id)] = time.monotonic()
        if len(delivered) == LATENCY_EVENTS:
            channel.stop_consuming()

    channel.basic_consume(queue, on_message, auto_ack=True)
    with running_relay(box, amqp_url, folder):
        rows = box.rows(LATENCY_EVENTS)

        def commit_all() -> None:
            due = time.monotonic()
            for row in rows:
                due += 1 / LATENCY_RATE_PER_S
                time.sleep(max(0.0, due - time.monotonic()))
                box.put([row])
                committed[row["event_id"]] = time.monotonic()
                box.wake()

        committing = threading.Thread(target=commit_all)
        committing.start()
        channel.start_consuming()
        committing.join()
    connection.close()
    return [(delivered[event_id] - committed[event_id]) * 1000 for event_id in committed]


def measure(box: Box, broker: Broker, queue: str, folder: Path, rows: int, rounds: int) -> None:
    def medians(name: str, run: Callable[[], tuple[float, float]]) -> float:
        results = []
        for _ in range(rounds):
            results.append(run())
            with broker.channel() as channel:
                channel.queue_purge(queue)
        rates, cpus = zip(*results, strict=True)
        print(
            f"{box.name:<11} {name:<20} {min(rates):>7,.0f} … {max(rates):>7,.0f} msg/s"
            f"   {statistics.median(cpus):>6.1f} µs CPU a message"
        )
        return float(statistics.median(rates))

    one = medians("confirm one by one", lambda: one_by_one_rate(box, broker.amqp_url, rows // ONE_BY_ONE_SHARE))
    relay = medians("relay", lambda: relay_rate(box, broker.amqp_url, folder, rows))
    print(f"{box.name:<11} relay : one by one = {relay / one:.1f} : 1 (medians of {rounds})")
    seen = sorted(latencies_ms(box, broker.amqp_url, folder, queue))
    p50, p99 = seen[len(seen) // 2], seen[int(len(seen) * 0.99)]
    print(f"{box.name:<11} commit to consumer, {LATENCY_RATE_PER_S}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        PrivateNode(Path(name) / "broker") as node,
        PostgreSQLServer() as server,
    ):
        folder = Path(name)
        for box in (
            Box("PostgreSQL", create_database(server.url())),
            Box("SQLite", f"sqlite:///{folder / 'orders.db'}"),
        ):
            with Broker(Node(node.amqp_url, node.management_url)) as broker:
                broker.declare(topology.shared(archive_bytes_max=100_000_000))
                queue = broker.tap()  # a quorum queue, as a department's
                measure(box, broker, queue, folder, arguments.rows, arguments.rounds)


if __name__ == "__main__":
    main()
