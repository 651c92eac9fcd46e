"""The bridge as its operator starts it: `python -m sap_bridge`, with a broker and a SAP, and what happens to them."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eventbus.contract import Event
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.department_process import Reports
from eventbus.testing.ports import free_port
from sap_sandbox.testing import RunningSandbox, running_sandbox

QUICK = {
    # a lease of 17 s in place of 90
    "HANDLER_TIMEOUT_S": "7",
    "SAP_READ_TIMEOUT": "1",
    "SAP_CONNECT_TIMEOUT": "0.3",
    "SAP_SETTLE_S": "1",
}


class Bridge:
    """`python -m sap_bridge` with the shipped configuration and this environment."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.port = free_port()
        self._log = folder / f"bridge-{self.port}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sap_bridge"],
                env=os.environ | environ | {"SAP_BRIDGE_PORT": str(self.port), "LOG_FORMAT": "json"},
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_ready(self) -> "Bridge":
        wait_until(lambda: self.process.poll() is not None or self.ready(), 30, "the bridge is ready")
        assert self.process.poll() is None, self.output()
        return self

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def output(self) -> str:
        return self._log.read_text()

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)


StartBridge = Callable[..., Bridge]


@pytest.fixture
def slow_sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path, latency_median_ms=30) as running:
        yield running


@pytest.fixture
def process_environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that keeps its data in the test's folder."""
    return os.environ | {"DATA_DIR": str(tmp_path)}


@pytest.fixture
def start_bridge(tmp_path: Path) -> Iterator[StartBridge]:
    """Starts a bridge on that broker and SAP; what still runs at the end is killed."""
    started: list[Bridge] = []

    def start(broker: Broker, sap_url: str, **environ: str) -> Bridge:
        settings = {
            "AMQP_URL": broker.amqp_url,
            "SAP_URL": sap_url,
            "DATABASE_URL": f"sqlite:///{tmp_path}/bridge.db",
            "TIER_SECONDS": ",".join(map(str, FAST_TIERS_S)),
            "ARCHIVE_BYTES_MAX": str(SMALL_ARCHIVE_BYTES),
        }
        started.append(Bridge(tmp_path, settings | environ))
        return started[-1]

    yield start
    for bridge in started:
        if bridge.process.poll() is None:
            bridge.end(signal.SIGKILL)


@pytest.fixture
def reports(broker: Broker) -> Reports:
    broker.declare_shared()
    return Reports(broker)


@pytest.fixture
def mapping_file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a mapping with these materials; its name."""

    def write(materials: str) -> str:
        area = "{organization: 1710, channel: 10, division: 00, sold_to: 17100001}"
        file = tmp_path / "mapping.yaml"
        file.write_text(f"sales_areas: {{'*': {area}}}\nmaterials: {materials}\n")
        return str(file)

    return write


def publish(broker: Broker, events: list[Event[Any]]) -> None:
    for event in events:
        broker.publish(event, f"order.created.{event.data.region}")


def sap_stats(sandbox: RunningSandbox) -> dict[str, Any]:
    stats: dict[str, Any] = requests.get(sandbox.stats_url, timeout=5).json()
    return stats


def all_done(reports: Reports, events: list[Event[Any]]) -> bool:
    return all("done" in reports.of(event.subject) for event in events)


def test_orders_are_booked_and_reported_with_saps_number(
    broker: Broker, sandbox: RunningSandbox, start_bridge: StartBridge, reports: Reports
) -> None:
    bridge = start_bridge(broker, sandbox.url).wait_ready()
    events = [an_event(region=region, customer_name="Zoë Unlogged") for region in ("north", "south-2", "eu")]
    publish(broker, [*events, events[0]])
    wait_until(lambda: all_done(reports, events), 20, "all orders are done")

    assert sap_stats(sandbox)["references"] == {event.subject: 1 for event in events}
    numbers = {reports.last(event.subject).reference for event in events}
    assert numbers == {"1", "2", "3"}
    assert 'sap_answers_total{call="create",status="201",verdict="booked"} 3.0' in bridge.metrics()
    assert bridge.end(signal.SIGTERM) == 0
    assert "Zoë" not in bridge.output()


def test_killed_while_booking_each_order_has_one_sales_order(
    broker: Broker, slow_sandbox: RunningSandbox, start_bridge: StartBridge, reports: Reports, database_url: str
) -> None:
    def start() -> Bridge:
        return start_bridge(broker, slow_sandbox.url, DATABASE_URL=database_url, **QUICK)

    bridges = 2 if database_url.startswith("postgresql") else 1
    first, *others = [bridge.wait_ready() for bridge in [start() for _ in range(bridges)]]
    events = [an_event() for _ in range(60)]
    publish(broker, events)
    wait_until(lambda: sap_stats(slow_sandbox)["orders"] >= 15, 20, "some orders are booked")
    first.end(signal.SIGKILL)
    if not others:
        start()
    wait_until(lambda: all_done(reports, events), 60, "all orders are done")

    assert sap_stats(slow_sandbox)["references"] == {event.subject: 1 for event in events}


def test_sap_away_orders_wait_and_are_booked_when_it_is_back(
    broker: Broker, tmp_path: Path, start_bridge: StartBridge, reports: Reports
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/sap/opu/odata/sap/API_SALES_ORDER_SRV"
    start_bridge(broker, url).wait_ready()
    events = [an_event() for _ in range(10)]
    publish(broker, events)
    wait_until(lambda: reports.of(events[0].subject) == ["waiting"], 20, "the first is reported as waiting")

    sandbox = subprocess.Popen(
        [sys.executable, "-m", "sap_sandbox"],
        env=os.environ | {"SAP_SANDBOX_PORT": str(port), "SAP_SANDBOX_DATABASE_URL": f"sqlite:///{tmp_path}/sap.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: all_done(reports, events), 60, "all orders are done")
        references = requests.get(f"http://127.0.0.1:{port}/_sim/stats", timeout=5).json()["references"]
    finally:
        sandbox.terminate()
        sandbox.wait(20)
    assert references == {event.subject: 1 for event in events}
    assert broker.depth("sap_bridge.dead") == 0


def test_sap_refuses_the_login_nothing_is_parked_and_the_department_is_ready(
    broker: Broker, sandbox: RunningSandbox, start_bridge: StartBridge, reports: Reports
) -> None:
    bridge = start_bridge(broker, sandbox.url, SAP_PASSWORD="wrong").wait_ready()
    events = [an_event() for _ in range(5)]
    publish(broker, events)
    wait_until(lambda: "login at SAP failed" in bridge.output(), 20, "SAP refuses the login")

    assert bridge.ready()
    assert broker.depth("sap_bridge.dead") == 0
    assert [reports.of(event.subject) for event in events] == [[]] * 5
    assert bridge.end(signal.SIGTERM) == 0

    start_bridge(broker, sandbox.url)
    wait_until(lambda: all_done(reports, events), 30, "all orders are done with the right password")
    assert sap_stats(sandbox)["references"] == {event.subject: 1 for event in events}


def test_refused_order_is_parked_with_saps_words_and_the_next_one_is_booked(
    broker: Broker, sandbox: RunningSandbox, start_bridge: StartBridge, reports: Reports, mapping_file: Any
) -> None:
    refused, accepted = an_event(product_ids=(7,)), an_event(product_ids=(8,))
    start_bridge(broker, sandbox.url, SAP_MAPPING_FILE=mapping_file("{7: BLOCKED-7, 8: TG8}")).wait_ready()
    publish(broker, [refused, accepted])
    wait_until(lambda: all_done(reports, [accepted]), 20, "the next one is booked")
    wait_until(lambda: reports.of(refused.subject) == ["attention"], 20, "the refused one needs a person")

    parked = broker.wait_message("sap_bridge.dead")
    assert parked.headers["bus-reason-class"] == "permanent"
    assert parked.headers["bus-reason"].startswith("SAP answered 400, ")
    assert "BLOCKED-7" in parked.headers["bus-reason"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"SAP_URL": "https://sap.example/srv"}, "SAP_SETTLE_S"),
        ({"SAP_VERIFY": "/nonexistent.pem"}, "SAP_VERIFY"),
        ({"SAP_VERIFY": __file__}, "SAP_VERIFY"),
        ({"SAP_MAPPING_FILE": "/nonexistent.yaml"}, "/nonexistent.yaml: expected a readable YAML file"),
    ],
    ids=["settle time", "no such file", "no certificates", "no mapping"],
)
def test_wrong_configuration_ends_with_one_line_and_78(
    process_environ: dict[str, str], wrong: dict[str, str], named: str
) -> None:
    environ = process_environ | wrong
    ended = subprocess.run(
        [sys.executable, "-m", "sap_bridge"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 78
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("configuration: ")
    assert named in ended.stderr.splitlines()[-1]
