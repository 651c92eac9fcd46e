"""A steady load on the whole shop, for as long as one has patience: what grows?  `make soak MINUTES=60 RATE=4`

The fault suite's shop (real processes, PostgreSQL, a private RabbitMQ, the SAP sandbox, slips in a folder or on an IPP
printer) takes orders at a steady rate while SAP fails at a steady rate, poison arrives and the printer jams. Every few
seconds disk, memory, file handles, threads, tables and metrics are sampled into `var/soak/<version of RabbitMQ>/`. At
the end: the outside count of the fault suite (nothing lost, nothing twice), `plot.png`, and a verdict on each series
in `verdicts.md`.

Ends with 1 when something grows that should not, or an order was lost or doubled.
"""

import argparse
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from eventbus.operator.private_node import WAL_BYTES_MAX

from . import soak_load, soak_processes, soak_verdict
from .counting import Auditor, Count
from .customers import Customers
from .parts import Parts
from .shop import Shop
from .soak_disk import NodeDisk
from .soak_plot import MB, Panel, draw
from .soak_postgres import Databases
from .soak_segments import QUEUE_CAP
from .soak_series import Recorder
from .soak_verdict import Rule, Verdict

SAMPLE_S = 5.0
DRAINED_WITHIN_S = 1200.0
"""A crowded machine may have fallen behind."""
SETTLED_WITHIN_S = 300.0
SETTLED_WITHIN_S_PER_ORDER = 0.2
RULES = (
    Rule("memory.rabbitmq", "flat", share=0.15, at_least=20 * MB, unit="MB"),
    Rule("memory.postgresql", "flat", share=0.15, at_least=10 * MB, unit="MB"),
    Rule("memory.", "flat", share=0.03, at_least=2 * MB, unit="MB"),
    Rule("handles.postgresql", "flat", share=0.1, at_least=50),
    Rule("handles.", "flat", share=0.1, at_least=5),
    Rule("threads.", "flat", share=0.1, at_least=3),
    Rule("metrics.", "flat", at_least=5),
    Rule("connections.", "flat", at_least=2),
    Rule("sessions.", "flat", at_least=3),
    Rule("disk.queue.", "capped", cap=QUEUE_CAP, unit="MB"),
    Rule("disk.wal", "capped", cap=3 * WAL_BYTES_MAX, unit="MB"),
    Rule("disk.stream", "capped", cap=3 * MB, unit="MB"),
    Rule("disk.broker rest", "flat", at_least=1 * MB, unit="MB"),
    Rule("disk.postgresql wal", "capped", cap=1100 * MB, unit="MB"),
    Rule("table.orders.outbox", "flat", share=0.2, at_least=1 * MB, unit="MB"),
    Rule("dead.orders.outbox", "capped", cap=10_000),
    Rule("table.", "grows", unit="MB"),
    Rule("log.", "grows", unit="MB"),
)
PANELS: tuple[Panel, ...] = (
    ("memory of the services, MB", tuple(f"memory.{name}" for name in ("g", "relay", "t", "s", "m", "printer")), MB),
    ("memory of RabbitMQ and PostgreSQL, MB", ("memory.rabbitmq", "memory.postgresql"), MB),
    ("file handles", ("handles.",), 1),
    ("threads", ("threads.",), 1),
    ("disk of the retry tiers and the archive's feed, MB", ("disk.queue.retry", "disk.queue.archive"), MB),
    ("disk of the departments' queues and dead letters, MB", tuple(f"disk.queue.{x}" for x in "omps"), MB),
    ("disk: write-ahead logs and the archive, MB", ("disk.wal", "disk.stream", "disk.postgresql"), MB),
    ("the outbox: bytes / 1000, dead rows / 1000", ("table.orders.outbox", "dead.orders.outbox"), 1000),
    ("tables, MB", ("table.",), MB),
    ("lines of /metrics", ("metrics.",), 1),
    ("messages in the tiers and queues", ("messages.",), 1),
    ("orders accepted, thousands", ("orders.",), 1000),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=4, help="orders a second")
    parser.add_argument(
        "--paper",
        choices=("folder", "ipp"),
        default="folder",
        help="ipp: with a rate of less than one, ippeveprinter takes one job at a time",
    )
    parser.add_argument("--folder", type=Path, default=Path("var/soak"))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a long run is often stopped so: everything ends with it
    with tempfile.TemporaryDirectory(prefix="order-bus-soak-") as data:
        shop = Shop(Parts(paper=arguments.paper), Path(data))
        try:
            version = ".".join(str(part) for part in shop.broker.management.version())
            recorder = Recorder(arguments.folder / version)
            count = soak(shop, recorder, arguments.minutes * 60, arguments.rate)
        finally:
            shop.close()
    verdicts = soak_verdict.judge(recorder.series, RULES, recorder.series["orders.accepted"])
    title = f"RabbitMQ {version}, {arguments.rate:g} orders a second, {count.orders:,} orders"
    draw(recorder.series, PANELS, title, recorder.folder / "plot.png")
    report = f"# {title}\n\n{_counted(count)}\n\n{soak_verdict.table(verdicts)}"
    (recorder.folder / "verdicts.md").write_text(report, encoding="utf-8")
    sys.stdout.write(f"{report}\n{recorder.folder}: plot.png, verdicts.md, samples.csv\n")
    sys.exit(1 if count.lost or count.doubled or _growing(verdicts) else 0)


def soak(shop: Shop, recorder: Recorder, seconds: float, rate: float) -> Count:
    """Load and samples for so long, then quiet and the count."""
    auditor = Auditor(shop)
    customers = Customers(
        shop.ready_gateways, token=f"soak-{secrets.token_hex(4)}", product=secrets.randbelow(10**12) + 10**6
    )
    sampler = Sampler(shop, customers, recorder)
    with soak_load.running(shop, customers, rate):
        while recorder.elapsed_s < seconds:
            time.sleep(SAMPLE_S)
            sampler.sample()
            auditor.probe.look()  # its queue is no part of the product: it shall not grow
    sampler.close()
    _drain(shop)
    auditor.settle(customers, SETTLED_WITHIN_S + SETTLED_WITHIN_S_PER_ORDER * len(customers.accepted))
    return auditor.count(customers)


def _drain(shop: Shop) -> None:
    """Wait until the departments have done what waits in their queues, without asking often."""
    deadline = time.monotonic() + DRAINED_WITHIN_S
    names = ("orders", *shop.parts.departments)
    while any(q.get("messages", 0) for q in shop.broker.management.queues() if q["name"] in names):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DRAINED_WITHIN_S:g} s: the departments' queues are empty")
        time.sleep(2)


class Sampler:
    """Takes all samples of one moment."""

    def __init__(self, shop: Shop, customers: Customers, recorder: Recorder) -> None:
        self._shop, self._customers, self._recorder = shop, customers, recorder
        self._disk = NodeDisk(shop.node.directory)
        self._databases = Databases({name: shop.database_url(name) for name in ("orders", *shop.parts.departments)})

    def sample(self) -> None:
        management = self._shop.broker.management
        connections = management.connections()
        self._recorder.add(
            soak_processes.sample(self._shop)
            | self._disk.sample()
            | self._databases.sample()
            | {f"messages.{queue['name']}": queue.get("messages", 0) for queue in management.queues()}
            | {f"log.{file.stem}": file.stat().st_size for file in self._shop.folder.glob("*.log")}
            | {
                "connections.rabbitmq": len(connections),
                "connections.rabbitmq channels": sum(connection.get("channels", 0) for connection in connections),
                "orders.accepted": len(self._customers.accepted),
            }
        )

    def close(self) -> None:
        self._databases.close()


def _growing(verdicts: list[Verdict]) -> list[str]:
    return [verdict.name for verdict in verdicts if verdict.judgement == "GROWING"]


def _counted(count: Count) -> str:
    told = ", ".join(
        f"{name} {len(found)}"
        for name, found in (
            ("lost", count.lost),
            ("doubled", count.doubled),
            ("possible duplicates", count.possible_duplicates),
            ("attention", count.attention),
        )
    )
    lines = [f"{count.orders:,} orders: {told}, copies dropped {count.repeats}."]
    return "\n".join(lines + (count.lost + count.doubled + count.attention)[:20])


if __name__ == "__main__":
    main()
