"""Printer departments as an operator starts them: `python -m printer` and variables."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

DEADLINE_S = 60.0


class Warehouse:
    """One department, its folder of slips, and the commands beside it."""

    def __init__(self, name: str, folder: Path, environ: dict[str, str]) -> None:
        self.name = name
        self.slips = folder / f"slips-{name}"
        self.port = free_port()
        self._environ = environ | {
            "DEPARTMENT": name,
            "PRINTER_URI": f"file://{self.slips}",
            "PRINTER_PORT": str(self.port),
        }
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "printer"], env=self._environ, stdout=log, stderr=log
            )

    def wait_ready(self) -> "Warehouse":
        wait_until(lambda: self.process.poll() is not None or self._is_ready(), DEADLINE_S, f"{self.name} is ready")
        assert self.process.poll() is None, self.output()
        return self

    def printed(self) -> set[str]:
        """Names of the slips in its folder, without `.pdf`."""
        return {path.stem for path in self.slips.glob("*.pdf")}

    def command(self, *arguments: str) -> str:
        """What `python -m printer <arguments>` says."""
        command = [sys.executable, "-m", "printer", *arguments]
        return subprocess.run(command, env=self._environ, capture_output=True, text=True, check=True).stdout

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def output(self) -> str:
        return self._log.read_text()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture
def open_warehouse(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Warehouse]]:
    """Starts departments of that name, with these variables."""
    broker.declare_shared()
    environ = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(tmp_path),
        "TIER_SECONDS": ",".join(map(str, FAST_TIERS_S)),
        "ARCHIVE_BYTES_MAX": str(SMALL_ARCHIVE_BYTES),
    }
    started: list[Warehouse] = []

    def start(name: str, **variables: str) -> Warehouse:
        started.append(Warehouse(name, tmp_path, environ | {"AMQP_URL": broker.url_of(name)} | variables))
        return started[-1]

    yield start
    for warehouse in started:
        warehouse.process.kill()
        warehouse.process.wait(DEADLINE_S)
