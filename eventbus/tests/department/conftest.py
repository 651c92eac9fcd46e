"""The department `probe`: its handler follows a script for each order."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import DepartmentProcess, Reports

HERE = Path(__file__).parent


class ProbeProcess(DepartmentProcess):
    """The department `probe` in a process."""

    def __init__(self, broker: Broker, folder: Path, target: str, settings: dict[str, Any]) -> None:
        defaults = {"department": "probe", "folder": str(folder), "breaker_open_s": 0.3, "drain_s": 5}
        environ = {"PROBE_FOLDER": str(folder), "PYTHONPATH": str(HERE)}
        super().__init__(broker, f"probe_department:{target}", folder, defaults | settings, environ)

    def script(self, order_number: str, *steps: list[Any]) -> None:
        """What the handler does with that order, call by call; the last step repeats."""
        (self.folder / f"{order_number}.json").write_text(json.dumps(steps))

    def calls(self, order_number: str) -> int:
        """How often the handler was called for that order."""
        path = self.folder / f"{order_number}.calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def wait_ready(self) -> "ProbeProcess":
        super().wait_ready()
        return self


class StartProbe:
    """Starts the department `probe` with these settings over the usual ones."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self.started: list[ProbeProcess] = []

    def __call__(self, target: str = "Probe", **settings: Any) -> ProbeProcess:
        self.started.append(ProbeProcess(self._broker, self._folder / "probe", target, settings))
        return self.started[-1]


@pytest.fixture
def start_probe(broker: Broker, tmp_path: Path) -> Iterator[StartProbe]:
    """Starts `probe`; what is still running at the test's end is ended."""
    start = StartProbe(broker, tmp_path)
    yield start
    for probe in start.started:
        if probe.process.poll() is None:
            probe.kill()


@pytest.fixture
def reports(broker: Broker) -> Reports:
    """What departments report from now on."""
    broker.declare_shared()
    return Reports(broker)
