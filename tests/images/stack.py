"""Everything that the compose files start, under a project name and ports of its own."""

import json
import os
import subprocess
import time
from typing import Any

import requests
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

from .engine import PROGRAMS, ROOT, Engine

PROJECT = "order-bus-test"
READY_S = 300
PORTS = ("GATEWAY_PORT", "MARKETING_PORT", "SAP_SANDBOX_PORT", "BROKER_PORT", "BROKER_CONSOLE_PORT")


class Stack:
    """`with Stack(engine, version) as stack:` starts it all; leaving it removes all, data included."""

    def __init__(self, engine: Engine, version: str) -> None:
        self.engine = engine
        self.ports = {name: str(free_port()) for name in PORTS}
        self._environment = {
            **os.environ,
            **self.ports,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "VERSION": version,
            "ENGINE": engine.name,
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        }
        self.gateway = f"http://127.0.0.1:{self.ports['GATEWAY_PORT']}"
        self.marketing = f"http://127.0.0.1:{self.ports['MARKETING_PORT']}"
        self.sandbox = f"http://127.0.0.1:{self.ports['SAP_SANDBOX_PORT']}"

    def __enter__(self) -> "Stack":
        self._compose("down", "--volumes")  # of a run that was killed
        self._compose("up", "--detach")
        for service in self.watched:
            wait_until(lambda service=service: self.is_healthy(service), READY_S, f"{service} is healthy")  # type: ignore[misc]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is not None:
            self.tell()
        self._compose("down", "--volumes")

    def tell(self) -> None:
        """Print the last lines of every container's log."""
        for service, container in self.containers.items():
            ended = subprocess.run(
                [self.engine.name, "logs", "--tail", "15", container], capture_output=True, text=True, check=False
            )
            print(f"--- {service}\n{ended.stdout}{ended.stderr}")

    @property
    def containers(self) -> dict[str, str]:
        """The container of each service."""
        label = f"label=com.docker.compose.project={PROJECT}"
        ids = self.engine.run("ps", "--all", "--quiet", "--filter", label).split()
        return {self._inspect(each)["Config"]["Labels"]["com.docker.compose.service"]: each for each in ids}

    @property
    def own(self) -> list[str]:
        """Services that run our images, and go on."""
        found = {name: self._inspect(container) for name, container in self.containers.items()}
        return sorted(
            name for name, what in found.items() if "order-bus/" in what["Config"]["Image"] and name != "broker-setup"
        )

    @property
    def watched(self) -> list[str]:
        """Services with a health check."""
        return sorted(
            name for name, container in self.containers.items() if self._inspect(container)["Config"].get("Healthcheck")
        )

    def is_healthy(self, service: str) -> bool:
        """Asked now: an engine without systemd asks by itself never."""
        container = self.containers[service]
        _kind, *command = self._inspect(container)["Config"]["Healthcheck"]["Test"]
        asked = [self.engine.name, "exec", container, *command]
        return subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode == 0

    def python(self, service: str, program: str) -> Any:
        """What the program prints as JSON, run in the service's container."""
        return json.loads(self.engine.run("exec", self.containers[service], "python", "-c", program))

    def stop(self, service: str, grace_s: int) -> tuple[int, float]:
        """Exit code, and seconds from SIGTERM to the end."""
        container, started = self.containers[service], time.monotonic()
        self.engine.run("stop", "--time", str(grace_s), container, timeout_s=grace_s + 60)
        return int(self._inspect(container)["State"]["ExitCode"]), time.monotonic() - started

    def start(self, service: str) -> None:
        self.engine.run("start", self.containers[service])

    def order(self, number: str) -> dict[str, Any]:
        return dict(requests.get(f"{self.gateway}/orders/{number}", timeout=10).json())

    def _inspect(self, container: str) -> Any:
        return json.loads(self.engine.run("inspect", "--type", "container", container))[0]

    def _compose(self, *arguments: str) -> None:
        command = [str(ROOT / "deploy/compose/run"), *arguments]
        ended = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout[-4000:]
