"""One supervisord over all processes: its configuration, and the few things that are asked of it."""

import contextlib
import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventbus.operator.private_node import PrivateNode
from eventbus.operator.tether import tether, untie
from eventbus.settings import EXIT_CONFIGURATION
from processes import PATTERNS, Services, free_port
from progress import StepError

BROKER = "broker"
LOG_BYTES_MAX = 10 * 1024 * 1024
DRAIN_S_MAX = 150
"""How long all processes together may take to stop: longer than the longest `stopwaitsecs`, tier after tier."""
_ENDED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


@dataclass(frozen=True)
class Process:
    """A program as supervisord sees it now."""

    name: str
    pid: int
    state: str
    exit_code: int


class Supervisor:
    """The supervisord of one instance. It ends when this process does, and all that it started with it."""

    def __init__(
        self, root: Path, instance: Path, services: Services, node: PrivateNode | None, urls: Mapping[str, str]
    ) -> None:
        """`urls`: the AMQP URL of each program that has one of its own."""
        self.root, self.instance, self.node = root, instance, node
        self._environments = {
            p.name: _with_url(p.environment, urls[p.name]) for p in services.programs if p.name in urls
        }
        self.priorities = {program.name: program.priority for program in services.programs}
        self._left_out = services.left_out
        if node:
            self.priorities[BROKER] = 0
        self._rpc: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._seen: list[Process] = []

    def log(self, program: str) -> Path:
        return self.instance / "log" / f"{program}.log"

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts supervisord, without any program yet."""
        url = self._configure()
        configuration = self.instance / "supervisord.conf"
        with self.log("supervisord.out").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(configuration)],
                env=dict(environment),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the launcher, which drains in order
            )
        self._watcher = tether(self._process.pid, marker=str(configuration), signal="TERM", patience_s=DRAIN_S_MAX)
        self._rpc = xmlrpc.client.ServerProxy(url).supervisor
        deadline = time.monotonic() + 20
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self.log("supervisord.out").read_text(encoding="utf-8", errors="replace")[-2000:]
                raise StepError(f"The supervisor did not start:\n{tail}")
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return bool(self._rpc.getState())
        except (OSError, xmlrpc.client.Error):
            return False

    def start_programs(self, names: Iterable[str]) -> None:
        for name in names:
            self._rpc.startProcessGroup(name, False)

    def processes(self) -> list[Process]:
        """All programs, or what was seen last when supervisord has ended (`alive` tells)."""
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self._seen = [
                Process(entry["group"], entry["pid"], entry["statename"], entry["exitstatus"])
                for entry in self._rpc.getAllProcessInfo()
            ]
        return self._seen

    def last_exit(self, program: str) -> str:
        """How it ended the last time, in supervisord's words."""
        log = self.log("supervisord").read_text(encoding="utf-8", errors="replace")[-10000:]
        found = re.findall(rf"(?:exited|spawnerr): {re.escape(program)} \((.*?)[;)]", log)
        return f"ended ({found[-1]})" if found else "ended"

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop_programs(self, names: Iterable[str]) -> None:
        """Asks these to stop, all at once; each is killed after its own `stopwaitsecs`."""
        for name in names:
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                self._rpc.stopProcessGroup(name, False)

    def running(self, names: Iterable[str]) -> list[str]:
        return sorted({p.name for p in self.processes() if p.name in set(names) and p.state not in _ENDED})

    def tiers(self) -> list[list[str]]:
        """Names of programs by falling priority: the order in which they stop."""
        levels = sorted(set(self.priorities.values()), reverse=True)
        return [sorted(n for n, p in self.priorities.items() if p == level) for level in levels]

    def end(self) -> None:
        """Ends supervisord, and at once whatever still runs below it."""
        running = [process.pid for process in self.processes() if process.pid and process.state not in _ENDED]
        if self._process is not None:
            self._process.terminate()  # first: it would start again what is killed
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._watcher is not None:
            untie(self._watcher)
        _address(self.instance).unlink(missing_ok=True)

    def _configure(self) -> str:
        """Writes supervisord's configuration; returns the URL of its interface."""
        port, password = free_port(), secrets.token_urlsafe(24)
        url = f"http://bus:{password}@127.0.0.1:{port}/RPC2"
        _write(_address(self.instance), json.dumps({"url": url}))
        includes = " ".join(os.path.join(os.path.relpath(self.root, self.instance), pattern) for pattern in PATTERNS)
        sections: list[tuple[str, dict[str, object]]] = [
            ("supervisord", {"nodaemon": "true", "silent": "true", "logfile": "%(here)s/log/supervisord.log",
                             "logfile_maxbytes": LOG_BYTES_MAX, "logfile_backups": 2,
                             "pidfile": "%(here)s/supervisord.pid"}),
            ("inet_http_server", {"port": f"127.0.0.1:{port}", "username": "bus", "password": password}),
            ("rpcinterface:supervisor",
             {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}),
            ("include", {"files": f"{includes} programs.conf"}),
        ]  # fmt: skip
        _write(self.instance / "supervisord.conf", _ini(sections))
        programs = [(f"program:{name}", self._here(name)) for name in (*self.priorities, *self._left_out)]
        _write(self.instance / "programs.conf", _ini(programs))
        return url

    def _here(self, name: str) -> dict[str, object]:
        """What a program needs on this machine beside what its processes.conf says (supervisor merges the two)."""
        added: dict[str, object] = {
            "directory": _literal(str(self.root)),
            "autostart": "false",  # the launcher starts them, one tier after the other
            "startsecs": 0,  # with more, supervisor forgets the exit code of what ends early, and retries a 78
            "autorestart": "unexpected",
            "exitcodes": EXIT_CONFIGURATION,  # whatever else ends is started again
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _literal(str(self.log(name))),
            "stdout_logfile_maxbytes": LOG_BYTES_MAX,
            "stdout_logfile_backups": 3,
        }
        if environment := self._environments.get(name):
            added["environment"] = environment
        if name == BROKER and self.node:
            words = [sys.executable, "-m", "eventbus.operator.private_node", str(self.node.directory)]
            added |= {"command": _literal(shlex.join(words)), "stopwaitsecs": 40, "priority": 0}
        return added


def end_leftover(instance: Path) -> None:
    """Ends the supervisord of a launcher that was killed: its drain may not be over yet.

    Raises:
        StepError: it does not end.
    """
    if not _address(instance).exists():
        return
    url = json.loads(_address(instance).read_text(encoding="utf-8"))["url"]
    leftover = xmlrpc.client.ServerProxy(url).supervisor
    deadline = time.monotonic() + DRAIN_S_MAX
    with contextlib.suppress(OSError, xmlrpc.client.Error):  # it is gone
        while time.monotonic() < deadline:
            with contextlib.suppress(xmlrpc.client.Fault):  # it is shutting down already
                leftover.shutdown()
            time.sleep(0.2)
        raise StepError(f"What an earlier launcher started in {instance} does not stop")


def _address(instance: Path) -> Path:
    return instance / "supervisor.json"


def _ini(sections: Iterable[tuple[str, Mapping[str, object]]]) -> str:
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in settings.items()), ""])
        for name, settings in sections
    )


def _with_url(environment: str, amqp_url: str) -> str:
    """Supervisor's `environment=` of a program, its own words first."""
    url = _literal(amqp_url.replace('"', "%22"))
    return ",".join(filter(None, [environment.strip().rstrip(","), f'AMQP_URL="{url}"']))


def _literal(text: str) -> str:
    """Supervisor expands %(name)s."""
    return text.replace("%", "%%")


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
