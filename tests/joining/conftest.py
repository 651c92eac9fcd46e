"""A department that is not written in Python, started as its operator would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests
from eventbus.testing import wait_until
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.ports import free_port

SOURCE = Path(__file__).parent / "loyalty"
INSTALLED = Path(__file__).parents[2] / "var" / "joining"
STOP_S = 20


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"loyalty", "loyalty_command", "orders_url"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.process)


class Loyalty:
    """The department's process."""

    def __init__(self, broker: Broker, command: list[str], points: Path) -> None:
        self.broker = broker
        self.points = points
        self._command = command
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {**os.environ, "AMQP_URL": self.broker.url_of("loyalty"), "POINTS_FILE": str(self.points)}
        self.process = subprocess.Popen(self._command, env=environ)
        self.broker.wait_for(lambda: self.broker.consumers("loyalty") == 1, 20, "loyalty consumes")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(STOP_S)


@pytest.fixture(scope="session")
def loyalty_command() -> list[str]:
    """The command that runs it, with the libraries of its package.json installed under var/ (once)."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    manifest = (SOURCE / "package.json").read_text()
    marker = INSTALLED / "installed"
    if not marker.exists() or marker.read_text() != manifest:
        shutil.copy(SOURCE / "package.json", INSTALLED)
        subprocess.run(
            ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"], cwd=INSTALLED, check=True
        )
        marker.write_text(manifest)
    shutil.copy(SOURCE / json.loads(manifest)["main"], INSTALLED)
    return ["node", str(INSTALLED / json.loads(manifest)["main"])]


@pytest.fixture
def loyalty(broker: Broker, loyalty_command: list[str], tmp_path: Path) -> Iterator[Loyalty]:
    """It consumes, on a broker that has what all departments share."""
    broker.declare_shared()
    department = Loyalty(broker, loyalty_command, tmp_path / "points")
    try:
        department.start()
        yield department
    finally:
        if department.process is not None and department.process.poll() is None:
            department.kill()


@pytest.fixture
def orders_url(broker: Broker, tmp_path: Path) -> Iterator[str]:
    """Where the orders service takes orders: gateway, relay and tracker run, on SQLite."""
    broker.declare_shared()
    ports = {name: str(free_port()) for name in ("GATEWAY_PORT", "RELAY_PORT", "TRACKER_PORT")}
    environ = {
        **os.environ,
        **ports,
        "DATA_DIR": str(tmp_path),
        "TIER_SECONDS": ",".join(map(str, FAST_TIERS_S)),
        "ARCHIVE_BYTES_MAX": str(SMALL_ARCHIVE_BYTES),
    }
    processes = [
        subprocess.Popen([sys.executable, "-m", "orders", name], env=environ | login)
        for name, login in (
            ("tracker", {"AMQP_URL": broker.url_of("orders")}),
            ("relay", {"AMQP_URL": broker.url_of("orders-relay")}),
            ("gateway", {}),  # it speaks to no broker
        )
    ]
    try:
        for port in ports.values():
            wait_until(partial(_is_ready, f"http://127.0.0.1:{port}/readyz"), 30, "the orders service is ready")
        yield f"http://127.0.0.1:{ports['GATEWAY_PORT']}/orders"
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(STOP_S)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
