"""Whether RabbitMQ frees the disk of the queues that we declare: `make soak-segments MINUTES=10 RATE=400`.

A quorum queue is a log. RabbitMQ frees the front of it once everything in there is settled, and not before a number of
further entries (8,192 on 3.10 and 4.0). Reports of logs that were never freed (rabbitmq-server#14522 among them) are
about queues with a time to live, at-least-once dead-lettering, and messages that nobody settles: this drives all
three, with the topology of `eventbus.topology` on a private node, and samples the bytes on disk by queue.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pika
import psutil
from eventbus.operator import declare
from eventbus.operator.management import Management
from eventbus.operator.parked import held
from eventbus.operator.private_node import WAL_BYTES_MAX, PrivateNode
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until

from eventbus import topology

from .soak_disk import NodeDisk
from .soak_plot import MB, Panel, draw
from .soak_series import Recorder, Series
from .soak_verdict import Rule, judge, table

SAMPLE_S = 5.0
ARCHIVE_BYTES = 20 * MB
LOOK_S = 30.0
HOUR_S = 20.0
RELEASED_AT = 0.75
SETTLED_BY = 0.9
"""Of the run's time: the messages that nobody acked are acked; what they kept must be freed."""
LOOPING, PLAIN, PINNED = "looping", "plain", "pinned"
"""Departments: one whose messages go round through the tiers, one that acks all, one with a message it never acks."""
QUEUE_CAP = 25 * MB
"""8,192 entries until RabbitMQ may free a log, as many until its next snapshot, a segment of 4,096 more: of 1 kB each,
20 MB, and snapshots."""
RULES = (
    Rule("disk.queue.", "capped", cap=QUEUE_CAP, unit="MB"),
    Rule("disk.wal", "capped", cap=3 * WAL_BYTES_MAX, unit="MB"),
    Rule("disk.stream", "capped", cap=1.5 * ARCHIVE_BYTES, unit="MB"),
    Rule("rss.broker", "flat", share=0.15, unit="MB"),
)
SHARES = {"retry.1s": 0.5, "retry.10s": 0.2, "events": 0.25, "dead": 0.05}
PANELS: tuple[Panel, ...] = (
    ("retry tiers, MB on disk", ("disk.queue.retry",), MB),
    ("departments and their dead letters, MB on disk", tuple(f"disk.queue.{d}" for d in (LOOPING, PLAIN, PINNED)), MB),
    ("archive feed, write-ahead log, archive, MB on disk", ("disk.queue.archive", "disk.wal", "disk.stream"), MB),
    ("messages sent, thousands", ("sent.",), 1000),
    ("broker's memory, MB", ("rss.",), MB),
)


class Traffic:
    """One connection that sends at a steady rate, and settles what comes back; a second that keeps one unacked."""

    def __init__(self, url: str, rate: float) -> None:
        self.sent: Counter[str] = Counter()
        self.came: Counter[str] = Counter()
        event = an_event(product_ids=tuple(range(100, 140)))
        self._body = event.encode()
        self._rate = rate
        self._stuck = pika.BlockingConnection(pika.URLParameters(f"{url}?heartbeat=0"))
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        declare.declare(self._connection, topology.shared(archive_bytes_max=ARCHIVE_BYTES))
        for name in (LOOPING, PLAIN, PINNED):
            patterns = () if name == LOOPING else ("order.created.*",)
            declare.declare(self._connection, topology.department(name, patterns))
        self.channel = self._connection.channel()
        self._pin()
        self.channel.basic_qos(prefetch_count=200)
        for queue in (LOOPING, PLAIN, PINNED, topology.dead_queue(PINNED)):
            self.channel.basic_consume(queue, self._arrived)
        self._due = dict.fromkeys(SHARES, 0.0)

    def _pin(self) -> None:
        """The oldest message of a department is never acked, of its dead letters never redriven."""
        self._pins = self._stuck.channel()
        for exchange, queue in (("events", PINNED), ("dead", topology.dead_queue(PINNED))):
            self._send(exchange, "order.created.north" if exchange == "events" else PINNED)
            wait_until(partial(self._takes_one, queue), 30, f"a message in {queue}")

    def _takes_one(self, queue: str) -> bool:
        return self._pins.basic_get(queue)[0] is not None

    def release(self) -> None:
        """Somebody gives the two old messages back, and they are acked."""
        if self._pins.is_open:
            self._pins.basic_nack(0, multiple=True)
            self._pins.close()

    def run(self, seconds: float) -> None:
        """Send what is due in that time, in steps of a twentieth of a second."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for exchange, share in SHARES.items():
                self._due[exchange] += self._rate * share / 20
                while self._due[exchange] >= 1:
                    self._due[exchange] -= 1
                    self._send(exchange, {"events": "order.created.north", "dead": PINNED}.get(exchange, LOOPING))
            self._connection.process_data_events(0)
            self._connection.sleep(max(0.0, now + 0.05 - time.monotonic()))

    def one_for_an_hour(self) -> None:
        self._send("retry.1h", LOOPING)

    def park_one(self) -> None:
        self._send("dead", PLAIN)

    def look(self, management: Management) -> None:
        """As `bus dead list` does: everything is taken and given back."""
        with held(self._connection, management, topology.dead_queue(PLAIN)):
            pass

    def close(self) -> None:
        self._connection.close()
        self._stuck.close()

    def _send(self, exchange: str, key: str) -> None:
        self.channel.basic_publish(exchange, key, self._body, pika.BasicProperties(delivery_mode=2))
        self.sent[exchange] += 1

    def _arrived(self, channel: object, method: pika.spec.Basic.Deliver, properties: object, body: bytes) -> None:
        self.came[method.routing_key] += 1
        if method.delivery_tag % 50 == 0:
            self.channel.basic_ack(method.delivery_tag, multiple=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak_segments", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=400, help="messages a second, all queues together")
    parser.add_argument("--folder", type=Path, default=Path("var/soak/segments"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="order-bus-soak-") as data, PrivateNode(Path(data)) as node:
        management = Management(node.management_url, "/")
        version = ".".join(str(part) for part in management.version())
        folder = arguments.folder / version
        recorder = Recorder(folder)
        observe(node, management, recorder, arguments.minutes * 60, arguments.rate)
        draw(recorder.series, PANELS, f"RabbitMQ {version}: disk by queue", folder / "plot.png")
        verdicts = judge(judged(recorder), RULES, recorder.series["sent.events"])
        (folder / "verdicts.md").write_text(table(verdicts), encoding="utf-8")
        sys.stdout.write(f"{table(verdicts)}\n{folder}: plot.png, verdicts.md, samples.csv\n")
        sys.exit(1 if any(verdict.judgement == "GROWING" for verdict in verdicts) else 0)


def judged(recorder: Recorder) -> dict[str, Series]:
    """All of the run; of a queue with a message that nobody acks, which must grow, what is left after that is acked."""
    late = recorder.elapsed_s * SETTLED_BY
    pinned = (f"disk.queue.{PINNED}", f"disk.queue.{topology.dead_queue(PINNED)}")
    return {name: one.since(late) if name in pinned else one for name, one in recorder.series.items()}


def observe(node: PrivateNode, management: Management, recorder: Recorder, seconds: float, rate: float) -> None:
    """Drive the queues for so long; sample every five seconds."""
    disk, process = NodeDisk(node.directory), psutil.Process(node.pid)
    traffic = Traffic(node.amqp_url, rate)
    looked = asked = 0.0
    while recorder.elapsed_s < seconds:
        traffic.run(SAMPLE_S)
        traffic.park_one()
        if recorder.elapsed_s - asked > HOUR_S:
            asked = recorder.elapsed_s
            traffic.one_for_an_hour()
        if recorder.elapsed_s - looked > LOOK_S:
            looked = recorder.elapsed_s
            traffic.look(management)
        if recorder.elapsed_s > seconds * RELEASED_AT:
            traffic.release()
        spent = process.cpu_times()
        recorder.add(
            disk.sample()
            | {f"sent.{exchange}": count for exchange, count in traffic.sent.items()}
            | {"rss.broker": process.memory_info().rss, "cpu.broker": spent.user + spent.system}
        )
    traffic.close()


if __name__ == "__main__":
    main()
