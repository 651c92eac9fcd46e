"""Launchers of instances, as tests of `make run` and `make demo` start them."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from eventbus.operator import users
from eventbus.testing.broker import Broker, Node
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).parent / "fake_program.py"
START_TIMEOUT_S = 60


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"project", "whole_project", "shared_project"}:
            item.add_marker(pytest.mark.process)
            item.add_marker(pytest.mark.broker)


class Launcher:
    """`python deploy/laptop run` in a project's folder."""

    def __init__(self, root: Path, environment: Mapping[str, str], command: str = "run") -> None:
        self.root, self.instance = root, root / "var" / "run"
        self.output = root / f"{command}.out"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "deploy/laptop", command],
                cwd=root,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    @property
    def variables(self) -> dict[str, str]:
        """What `. var/run/env` gives to a shell."""
        lines = (self.instance / "env").read_text(encoding="utf-8").splitlines()
        return {k: "".join(shlex.split(v)) for k, _, v in (line.partition("=") for line in lines[:-1])}

    def started(self) -> "Launcher":
        def up() -> bool:
            assert self.process.poll() is None, self.text
            return "Ctrl-C stops everything" in self.text

        wait_until(up, START_TIMEOUT_S)
        return self

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def events(self) -> list[str]:
        """What the fake programs noted: `<name> started <pid>`, `<name> stopped`."""
        file = self.instance / "events"
        return file.read_text().splitlines() if file.exists() else []

    def pids(self) -> dict[str, int]:
        """The last process of each fake program, by name."""
        return {m[1]: int(m[2]) for line in self.events() if (m := re.fullmatch(r"(\w+) started (\d+)", line))}

    def environment(self, name: str) -> dict[str, str]:
        """Of the last process of that fake program."""
        pid = wait_until(lambda: self.pids().get(name), 20, f"{name} has started")
        text = Path(f"/proc/{pid}/environ").read_text()
        return {k: v for k, _, v in (entry.partition("=") for entry in text.split("\0"))}

    def left_running(self) -> list[str]:
        """Command lines of processes that belong to this project's folder, beside the launcher's own."""
        listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
        everything = {int(pid): args for pid, args in (line.split(maxsplit=1) for line in listed.splitlines())}
        known = set(self.pids().values())
        return [
            args
            for pid, args in everything.items()
            if pid != self.process.pid and ((pid in known and FAKE.name in args) or str(self.root) in args)
        ]


class Project:
    """A folder with this repository's launcher and services of the test's own."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root, self.environment = root, dict(environment)
        self._launchers: list[Launcher] = []
        (root / "deploy").symlink_to(ROOT / "deploy")

    def service(self, name: str, programs: str, laptop: str = "") -> None:
        """`programs`: sections of a processes.conf, where `FAKE` is the fake program's command."""
        folder = self.root / "services" / name
        folder.mkdir(parents=True)
        text = programs.replace("FAKE", f"python {FAKE}")
        (folder / "processes.conf").write_text(f"{text}\n[laptop]\n{laptop}\n")

    def launch(self, command: str = "run", **environment: str) -> Launcher:
        launcher = Launcher(self.root, {**self.environment, **environment}, command)
        self._launchers.append(launcher)
        return launcher

    def end(self) -> None:
        for launcher in self._launchers:
            if launcher.process.poll() is None:
                launcher.interrupt()


@pytest.fixture
def whole_project(tmp_path: Path) -> Iterator[Project]:
    """This repository's services in a folder of the test's own; instances have a private broker."""
    own = ("MAKELEVEL", "INSTANCE_DIR", "AMQP_URL", "MANAGEMENT_URL", "DATABASE_URL")
    started = Project(tmp_path, {k: v for k, v in os.environ.items() if k not in own})
    (tmp_path / "services").symlink_to(ROOT / "services")
    for file in (ROOT / "services").glob("*/processes.conf"):  # tests run side by side: none takes the usual ports
        for name in re.findall(r"\b([A-Z_]+_PORT):\d+", file.read_text()):
            started.environment[name] = str(free_port())
    yield started
    started.end()


@pytest.fixture
def project(tmp_path: Path, broker: Broker) -> Iterator[Project]:
    """An empty project whose instances use this test's own virtual host."""
    started = Project(tmp_path, _environment(broker))
    yield started
    started.end()


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory, broker_node: Node) -> Iterator[Project]:
    """The same for a whole module, whose tests leave it as it is."""
    with Broker(broker_node) as broker:
        started = Project(tmp_path_factory.mktemp("shared"), _environment(broker))
        yield started
        started.end()
        for path in started.root.glob("var/run/users/*"):
            users.remove(broker.management, path.name)


def _environment(broker: Broker) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKELEVEL", "INSTANCE_DIR")}
    return kept | {"AMQP_URL": broker.amqp_url, "MANAGEMENT_URL": broker.management_url}
