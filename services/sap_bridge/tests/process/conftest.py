"""The bridge as its operator starts it: `python -m sap_bridge`, with a broker and a SAP."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eventbus.contract import Event
from eventbus.settings import config_path
from eventbus.testing import wait_until
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.department_process import Reports
from eventbus.testing.ports import free_port


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

    def condition(self) -> dict[str, Any]:
        """What `/readyz` tells."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
            return dict(json.loads(answer.read()))

    def idle(self) -> bool:
        """Whether no worker is held, though it consumes."""
        condition = self.condition()
        return bool(condition["in_hand"] == 0 and condition["connected"])

    def entries(self, event: str) -> list[dict[str, Any]]:
        """The log entries of that event."""
        parsed = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [entry for entry in parsed if entry.get("event") == event]

    def metric(self, sample: str) -> float:
        """A sample of `/metrics`, 0 where it has not been counted yet."""
        lines = (line.rpartition(" ") for line in self.metrics().splitlines())
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

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
def process_environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that keeps its data in the test's folder."""
    return os.environ | {"DATA_DIR": str(tmp_path)}


@pytest.fixture
def start_bridge(tmp_path: Path) -> Iterator[StartBridge]:
    """Starts a bridge on that broker and SAP; what still runs at the end is killed. Its pauses are short."""
    started: list[Bridge] = []
    config = tmp_path / "config.yaml"
    config.write_text(config_path("sap_bridge", {}).read_text() + "\nbreaker_open_s: 0.5\nbreaker_open_max_s: 2\n")

    def start(broker: Broker, sap_url: str, **environ: str) -> Bridge:
        settings = {
            "CONFIG_FILE": str(config),
            "AMQP_URL": broker.url_of("sap_bridge"),
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


@pytest.fixture
def publish(broker: Broker) -> Callable[[list[Event[Any]]], None]:
    """Publishes orders as the relay does."""

    def publish(events: list[Event[Any]]) -> None:
        broker.publish_all((event, f"order.created.{event.data.region}") for event in events)

    return publish
