"""`POST /orders` under load, beside a commit-per-request service in the same run, on SQLite and PostgreSQL.

    python tests/bench/bench_post_orders.py [--seconds 5] [--clients 1 32 256] [--databases sqlite postgresql]

Prints a table: rate, p50, p99, and CPU µs an order (schedstat of every thread of the server and of PostgreSQL, which
depends much less on what else the machine does than the rates do). Needs wrk, and aiosqlite for the peer on SQLite.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from eventbus.testing.postgresql import PostgreSQLServer
from eventbus.testing.waiting import wait_until

HERE = Path(__file__).parent
WARM_UP_S = 1


@dataclass(frozen=True, slots=True)
class Measured:
    rate: float
    p50_ms: float
    p99_ms: float
    server_us: float
    database_us: float
    refused: int


@dataclass(frozen=True, slots=True)
class Service:
    """A server to measure: how it is started, and how it wants its database named."""

    name: str
    command: Callable[[int], list[str]]
    drivers: dict[str, str]


SERVICES = (
    Service(
        "peer",
        lambda port: [
            *(sys.executable, "-m", "uvicorn", "peer:app", "--port", str(port)),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        ],
        {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"},
    ),
    Service("gateway", lambda _port: [sys.executable, "-m", "orders", "gateway"], {}),
)


def main() -> None:
    """Measure and print."""
    options = _options()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.seconds} s a row, one server process")
    print("| database | clients | service | orders/s | p50 ms | p99 ms | CPU µs/order server | database | refused |")
    print("|---|---|---|---|---|---|---|---|---|")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="order-bus-bench-")))
        for database in options.databases:
            url = f"sqlite:///{folder}/bench.db"
            postgresql = None
            if database == "postgresql":
                server = stack.enter_context(PostgreSQLServer())
                url, postgresql = server.url(), server._process.pid if server._process else None
            rates: dict[tuple[str, int], float] = {}
            for service in SERVICES:
                with running(service, database, url, folder) as (pid, port):
                    for clients in options.clients:
                        measured = measure(pid, postgresql, port, clients, options.seconds)
                        rates[service.name, clients] = measured.rate
                        print(_row(database, clients, service.name, measured), flush=True)
            ratios = [f"{each}: {rates['gateway', each] / (rates['peer', each] or 1):.1f}×" for each in options.clients]
            print(f"| {database} | | gateway : peer | {', '.join(ratios)} | | | | | |", flush=True)


@contextmanager
def running(service: Service, database: str, url: str, folder: Path) -> Iterator[tuple[int, int]]:
    """The service, started on a free port: its process and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    scheme, _, rest = url.partition("://")
    environment = os.environ | {
        "DATABASE_URL": f"{service.drivers.get(database, scheme)}://{rest}",
        "GATEWAY_PORT": str(port),
        "LOG_FORMAT": "json",
    }
    environment.pop("PSYCOPG_WAIT_FUNC", None)  # eventbus.testing sets it for eventlet; it waits in Python, not in C
    with (folder / f"{service.name}.log").open("ab") as log:
        process = subprocess.Popen(service.command(port), env=environment, cwd=HERE, stderr=log)
    try:
        wait_until(lambda: _is_up(port, process), 30, f"{service.name} is up")
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def measure(pid: int, postgresql: int | None, port: int, clients: int, seconds: int) -> Measured:
    """That many clients for that long, after a warm-up of a second."""
    _wrk(port, clients, WARM_UP_S)
    before = _cpu_ns([pid]), _cpu_ns(_family(postgresql))
    summary = _wrk(port, clients, seconds)
    after = _cpu_ns([pid]), _cpu_ns(_family(postgresql))
    orders = max(1, summary["requests"])
    return Measured(
        rate=summary["requests"] / summary["microseconds"] * 1e6,
        p50_ms=summary["p50_us"] / 1000,
        p99_ms=summary["p99_us"] / 1000,
        server_us=(after[0] - before[0]) / 1000 / orders,
        database_us=(after[1] - before[1]) / 1000 / orders,
        refused=summary["refused"] + summary["broken"],
    )


def _wrk(port: int, clients: int, seconds: int) -> dict[str, int]:
    result = subprocess.run(
        [
            *("wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s"),
            *("-s", HERE / "post_orders.lua", f"http://127.0.0.1:{port}/orders"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    summary: dict[str, int] = json.loads(result.stdout.splitlines()[-1])
    return summary


def _cpu_ns(processes: list[int]) -> int:
    """CPU time of all threads of these processes (the first number of Linux' schedstat)."""
    total = 0
    for process in processes:
        for task in Path(f"/proc/{process}/task").glob("*/schedstat"):
            total += int(task.read_text().split()[0])
    return total


def _family(postmaster: int | None) -> list[int]:
    if postmaster is None:
        return []
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


def _is_up(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the server ended at its start"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
            return bool(json.load(response)["database"] == "up")
    except OSError:
        return False


def _row(database: str, clients: int, service: str, measured: Measured) -> str:
    return (
        f"| {database} | {clients} | {service} | {measured.rate:,.0f} | {measured.p50_ms:.1f} | {measured.p99_ms:.1f} "
        f"| {measured.server_us:.0f} | {measured.database_us:.0f} | {measured.refused} |"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="of each row")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
