"""A department as its operator would start it: a process of its own, on a virtual host of the test's own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eventbus.contract import Event, decode
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.observing import http_get, log_entries
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0


class DepartmentProcess:
    """Starts at once; `wait_ready` waits until it consumes.

    Args:
        broker: on whose virtual host it works, as its own user: what all share has to be declared there.
        target: `module:Class` of the service.
        folder: of its own, for configuration and log.
        settings: over those for a test (short tiers, a free health port); its `department` is needed, or `amqp_url`.
        environ: over this process's own.
    """

    def __init__(
        self,
        broker: Broker,
        target: str,
        folder: Path,
        settings: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._log = folder / "log"
        config = {
            "amqp_url": settings.get("amqp_url") or broker.url_of(settings["department"]),
            "health_port": self.port,
            "tier_seconds": list(FAST_TIERS_S),
            "archive_bytes_max": SMALL_ARCHIVE_BYTES,
            **settings,
        }
        path = folder / f"config-{self.port}.yaml"
        path.write_text(json.dumps(config))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "eventbus.department.run", target],
                env={**os.environ, **(environ or {}), "CONFIG_FILE": str(path), "LOG_FORMAT": "json"},
                stdout=log,
                stderr=log,
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a request to its health server; (0, "") when nobody answers."""
        return http_get(f"http://127.0.0.1:{self.port}{path}")

    def condition(self) -> dict[str, Any]:
        """The details of `/readyz`; empty when nobody answers."""
        body = self.get("/readyz")[1]
        return dict(json.loads(body)) if body else {}

    def metric(self, sample: str) -> float:
        """A sample of `/metrics` by name and labels, 0 where it has not been counted yet."""
        for line in self.get("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    def wait_ready(self) -> "DepartmentProcess":
        """Wait until it consumes. Raises AssertionError with the end of its log."""
        wait_until(lambda: self.process.poll() is not None or self.get("/readyz")[0] == 200, START_DEADLINE_S, "ready")
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.output()[-2000:]}")
        return self

    def output(self) -> str:
        """Everything that it printed and logged so far."""
        return self._log.read_text()

    def entries(self, event: str) -> list[dict[str, Any]]:
        """The log entries of that event."""
        return log_entries(self.output(), event)

    def stop(self) -> int:
        """End it by SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_DEADLINE_S)

    def kill(self) -> None:
        """End it by SIGKILL. Its log goes to the test's output, which pytest shows where the test fails."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_DEADLINE_S)
        sys.stdout.write(f"{self.folder.name}:\n{self.output()}\n")


class Reports:
    """What departments report, heard by a queue of the test's own from now on."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._queue = broker.tap("order.progressed.*")
        self.heard: list[Event[Any]] = []

    def of(self, order_number: str) -> list[str]:
        """The states reported for that order so far, in order of arrival."""
        for message in self._broker.take_all(self._queue):
            self.heard.append(decode(message.body, message.properties.content_type, message.routing_key))
        return [event.data.state for event in self.heard if event.data.order_number == order_number]

    def done(self, events: Iterable[Event[Any]]) -> bool:
        """Whether all these events' orders are reported as done."""
        self.of("")
        done = {event.data.order_number for event in self.heard if event.data.state == "done"}
        return all(event.subject in done for event in events)

    def last(self, order_number: str) -> Any:
        """The data of the last report on that order."""
        self.of(order_number)
        return [event.data for event in self.heard if event.data.order_number == order_number][-1]
