"""How many events a second one department process handles, and how long an order takes from its 201 to the handler.

    python tests/bench/bench_department.py [--events 10000] [--orders 300]

A private RabbitMQ; departments whose handlers do nothing, or only write down the time. CPU µs an event is the
department's own (schedstat): it depends less on the machine's other work than the rates do.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
from eventbus.operator.connection import connected
from eventbus.operator.private_node import PrivateNode
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import Broker, Node
from eventbus.testing.department_process import DepartmentProcess
from eventbus.testing.ports import free_port

HERE = Path(__file__).parent
ORDER_RATE_PER_S = 100
DEPARTMENTS = (
    ("Silent", "silent", "one event at a time, no result"),
    ("Single", "single", "one event at a time, result confirmed"),
    ("SilentBatched", "silent_batched", "batches of 100, no results"),
    ("Batched", "batched", "batches of 100, results confirmed"),
)


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads of the process so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def publish(broker: Broker, count: int) -> None:
    with connected(broker.amqp_url) as link:  # without confirms: filling the queue is not what is measured
        channel = link.channel()
        for _ in range(count):
            event = an_event(region="north")
            properties = pika.BasicProperties(
                content_type="application/cloudevents+json", delivery_mode=2, message_id=event.id
            )
            channel.basic_publish("events", "order.created.north", event.encode(), properties)


def rate(broker: Broker, target: str, name: str, folder: Path, events: int) -> tuple[float, float]:
    """Events a second and CPU µs an event, from a full queue."""
    settings = {"department": name, "max_workers": 50}
    environ = {"PYTHONPATH": str(HERE), "LOG_LEVEL": "WARNING"}
    declaring = DepartmentProcess(broker, f"departments:{target}", folder, settings, environ)
    declaring.wait_ready().stop()
    publish(broker, events)
    wait_until(lambda: broker.depth(name) == events, 60)
    process = DepartmentProcess(broker, f"departments:{target}", folder, settings, environ)
    process.wait_ready()
    cpu, started = cpu_s(process.process.pid), time.monotonic()
    left = broker.depth(name)
    wait_until(lambda: broker.depth(name) == 0, 300)
    spent = time.monotonic() - started
    used = cpu_s(process.process.pid) - cpu
    process.stop()
    return left / spent, used / left * 1e6


@contextmanager
def orders_service(broker: Broker, folder: Path) -> Iterator[str]:
    """Gateway and relay on SQLite; the gateway's URL."""
    port, relay_port = free_port(), free_port()
    environ = os.environ | {
        "AMQP_URL": broker.amqp_url,
        "DATA_DIR": str(folder),
        "GATEWAY_PORT": str(port),
        "RELAY_PORT": str(relay_port),
        "LOG_LEVEL": "WARNING",
    }
    environ.pop("CONFIG_FILE", None)
    started = [
        subprocess.Popen([sys.executable, "-m", "orders", name], env=environ, stderr=subprocess.DEVNULL)
        for name in ("relay", "gateway")
    ]
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return all(
                urllib.request.urlopen(f"http://127.0.0.1:{each}/readyz", timeout=2).status == 200
                for each in (port, relay_port)
            )
        except OSError:
            return False

    try:
        wait_until(ready, 30)
        yield url
    finally:
        for process in started:
            process.terminate()
            process.wait(30)


def latency_ms(broker: Broker, folder: Path, orders: int) -> list[float]:
    """From the 201 at the client to the start of the handler, sorted. Negative: the handler was first."""
    file = folder / "clock"
    environ = {"PYTHONPATH": str(HERE), "CLOCK_FILE": str(file), "LOG_LEVEL": "WARNING"}
    clock = DepartmentProcess(broker, "departments:Clock", folder / "c", {"department": "clock"}, environ)
    answered: dict[str, float] = {}
    with orders_service(broker, folder) as url:
        clock.wait_ready()
        body = json.dumps({"customer_name": "Daníel", "product_ids": [2, 4, 42]}).encode()
        request = urllib.request.Request(f"{url}/orders", body, {"Content-Type": "application/json"})
        for _ in range(orders):
            with urllib.request.urlopen(request, timeout=10) as response:
                answered[json.load(response)["order_number"]] = time.time()
            time.sleep(1 / ORDER_RATE_PER_S)
        wait_until(lambda: file.exists() and len(file.read_text().splitlines()) >= orders, 30)
    clock.stop()
    heard = dict(line.split() for line in file.read_text().splitlines())
    return sorted((float(heard[number]) - at) * 1000 for number, at in answered.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--orders", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, PrivateNode(Path(folder) / "node") as node:
        print("| one department process, no-op handler | events/s | CPU µs an event |\n|---|---|---|")
        for target, name, what in DEPARTMENTS:
            with Broker(Node(node.amqp_url, node.management_url)) as broker:
                broker.declare_shared()
                per_s, us = rate(broker, target, name, Path(folder) / name, options.events)
                print(f"| {what} | {per_s:,.0f} | {us:.0f} |", flush=True)
        with Broker(Node(node.amqp_url, node.management_url)) as broker:
            broker.declare_shared()
            ms = latency_ms(broker, Path(folder), options.orders)
            p99 = ms[int(len(ms) * 0.99) - 1]
            print(f"\nAnswer to handler, SQLite, {ORDER_RATE_PER_S} orders/s at most: ", end="")
            print(f"p50 {statistics.median(ms):.1f} ms, p99 {p99:.1f} ms")


if __name__ == "__main__":
    main()
