"""How long `GET /stats` and the page's numbers take at a million orders, and how many a second are counted after them.

    python tests/bench/bench_marketing.py [--file var/bench/marketing.db] [--orders 1000000] [--times 40]

The department as a process, on SQLite and PostgreSQL, asked over HTTP. CPU ms an answer is the department's own
(schedstat): it depends less on the machine's other work than the times do. The first run counts the orders into the
file, which takes minutes; later ones take it as it is.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from eventbus.operator.private_node import PrivateNode
from eventbus.testing.broker import Broker, Node
from eventbus.testing.department_process import DepartmentProcess
from eventbus.testing.postgresql import PostgreSQLServer
from marketing.book import open_book
from marketing_data import TIMEZONE, copy, make_sqlite, orders  # type: ignore[import-not-found] # lies beside this
from sqlalchemy.engine import Engine

from eventbus import database

ROOT = Path(__file__).parents[2]
DAYS = 420
BATCH = 100
YEAR, CALENDAR, MIDDLE, MONTH = (
    ("2025-11-25", "2026-11-24"),
    ("2025-10-01", "2026-09-30"),
    ("2026-02-18", "2026-08-19"),
    ("2026-10-26", "2026-11-24"),
)
PAGES = {"a year": YEAR, "30 days": MONTH}


def stats(period: tuple[str, str], group_by: str) -> str:
    return f"/stats?from={period[0]}&to={period[1]}&group_by={group_by}"


QUESTIONS = [
    *((f"a year by {group}", stats(YEAR, group)) for group in ("day", "hour", "week", "month", "region", "product")),
    ("its first year by product", stats(CALENDAR, "product")),
    *((f"half a year in between by {group}", stats(MIDDLE, group)) for group in ("day", "region", "product")),
    *((f"30 days by {group}", stats(MONTH, group)) for group in ("day", "hour", "region", "product")),
    *((f"the page, {name}", f"/dashboard?from={first}&to={last}") for name, (first, last) in PAGES.items()),
]


def cpu_ms(pid: int) -> float:
    """CPU time of all threads of the process so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def ask(department: DepartmentProcess, times: int) -> list[tuple[float, float, float]]:
    """Of each question: p50, p99, and CPU of the department (not of PostgreSQL) an answer, in milliseconds."""
    answers = []
    for _, path in QUESTIONS:
        url = f"http://127.0.0.1:{department.port}{path}"
        taken, used = [], 0.0
        for number in range(times + 2):  # the first two read the disk
            if number == 2:
                used = cpu_ms(department.process.pid)
            began = time.perf_counter()
            with urllib.request.urlopen(url, timeout=60) as response:
                response.read()
            taken.append((time.perf_counter() - began) * 1000)
        taken = sorted(taken[2:])
        used = (cpu_ms(department.process.pid) - used) / times
        answers.append((statistics.median(taken), taken[max(0, int(len(taken) * 0.99) - 1)], used))
    return answers


def counted_per_s(url: str, count: int) -> float:
    """Orders a second in batches as the department makes them, after all that the database holds."""
    database.upgrade(url, "marketing")
    engine: Engine = database.create_engine(url)
    with engine.begin() as connection:
        book = open_book(connection, TIMEZONE, None)
    events = iter(list(orders(count, days=1, prefix="NEW")))
    began = time.perf_counter()
    while batch := list(islice(events, BATCH)):
        with engine.begin() as connection:
            assert book.count(connection, batch) == len(batch)
    spent = time.perf_counter() - began
    engine.dispose()
    return count / spent


@contextmanager
def department(broker: Broker, folder: Path, url: str) -> Iterator[DepartmentProcess]:
    settings = {"department": "marketing", "database_url": url}
    process = DepartmentProcess(broker, "marketing.service:MarketingService", folder, settings)
    try:
        yield process.wait_ready()
    finally:
        process.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, default=ROOT / "var/bench/marketing.db")
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40, help="each question is asked")
    options = parser.parse_args()
    if not options.file.exists():
        options.file.parent.mkdir(parents=True, exist_ok=True)
        make_sqlite(options.file, options.orders, DAYS)
    with (
        tempfile.TemporaryDirectory(dir=options.file.parent) as temporary,
        PostgreSQLServer() as server,
        PrivateNode(Path(temporary) / "node") as node,
        Broker(Node(node.amqp_url, node.management_url)) as broker,
    ):
        folder = Path(temporary)
        broker.declare_shared()
        own = folder / "marketing.db"
        shutil.copyfile(options.file, own)
        database.upgrade(f"sqlite:///{own}", "marketing")
        print("copying into PostgreSQL", file=sys.stderr)
        copy(own, server.url())
        answers = []
        for name, url in (("sqlite", f"sqlite:///{own}"), ("postgresql", server.url())):
            with department(broker, folder / name, url) as process:
                answers.append(ask(process, options.times))
        print("| question | SQLite p50 ms | p99 ms | CPU ms | PostgreSQL p50 ms | p99 ms | CPU ms |")
        print("|---|---|---|---|---|---|---|")
        for (name, _), *both in zip(QUESTIONS, *answers, strict=True):
            print(f"| {name} | " + " | ".join(f"{ms:.0f}" for three in both for ms in three) + " |")
        print("\n| counted, in batches of 100 | SQLite orders/s | PostgreSQL orders/s |\n|---|---|---|")
        full = (counted_per_s(f"sqlite:///{own}", 5000), counted_per_s(server.url(), 5000))
        print(f"| after all these orders | {full[0]:,.0f} | {full[1]:,.0f} |")


if __name__ == "__main__":
    main()
