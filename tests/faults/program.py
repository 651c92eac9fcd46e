"""One real process of the shop: started, killed, frozen, made to die at a named point, and started again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from eventbus.operator.tether import tether, untie
from eventbus.settings import EXIT_CONFIGURATION
from eventbus.testing.observing import http_get, log_entries
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

from .crash import CrashPoint

START_DEADLINE_S = 120.0
STOP_DEADLINE_S = 120.0
_HERE = Path(__file__).parent
KILLED = -signal.SIGKILL


class Program:
    """Starts nothing by itself. While it is `wanted`, the shop's supervisor starts it again when it has ended.

    Args:
        name: of this process among the shop's, `relay-2`.
        arguments: `-m orders relay`.
        config: its settings, in the form of the service's config.yaml. Written to a file of its own.
        port_key: the place of the port of its health server in them, `("relay", "health_port")`.
        environ: over this process's own.
        ready_path: answers 200 when it does its work.
    """

    def __init__(
        self,
        name: str,
        arguments: tuple[str, ...],
        folder: Path,
        config: Mapping[str, Any],
        port_key: tuple[str, ...],
        environ: Mapping[str, str] | None = None,
        ready_path: str = "/readyz",
    ) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.wanted = False
        self.starts = 0
        self.exit_codes: list[int] = []
        self._arguments = arguments
        self._ready_path = ready_path
        self._log = folder / f"{name}.log"
        document = json.loads(json.dumps(dict(config)))
        section = document
        for key in port_key[:-1]:
            section = section.setdefault(key, {})
        section[port_key[-1]] = self.port
        self.config_file = folder / f"{name}.yaml"
        self.config_file.write_text(yaml.safe_dump(document))
        self._environ = {**os.environ, **(environ or {}), "CONFIG_FILE": str(self.config_file), "LOG_FORMAT": "json"}
        self._interpreter = sys.executable
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._crash_again: CrashPoint | None = None
        self._lock = threading.RLock()

    def use(self, environ: Mapping[str, str], interpreter: str = sys.executable) -> None:
        """From its next start on: another environment over its own, another Python."""
        self._environ |= environ
        self._interpreter = interpreter

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, crash: CrashPoint | None = None, *, again: bool = False) -> "Program":
        """Start it; with `crash` it kills itself by SIGKILL when it gets there (once: a later start has none; with
        `again` whenever the supervisor starts it).
        """
        command = [self._interpreter, *self._arguments]
        if crash is not None:
            command = [self._interpreter, str(_HERE / "crash.py"), *crash.arguments, "--", *self._arguments]
        with self._lock, self._log.open("ab") as log:
            assert not self.is_running, f"{self.name} runs already"
            self._process = subprocess.Popen(
                command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            self._let_go()
            self._watcher = tether(self._process.pid, marker=" ".join(self._arguments))  # a killed suite leaves nothing
            self._crash_again = crash if again else None
            self.starts += 1
            self.wanted = True
        return self

    def start_again_if_ended(self) -> None:
        """What a supervisor does: an exit code of 78 (wrong configuration) is not tried again."""
        with self._lock:
            if not self.wanted or self._process is None or (code := self._process.poll()) is None:
                return
            self._process = None
            self.exit_codes.append(code)
            if code != EXIT_CONFIGURATION:
                self.start(self._crash_again, again=True)

    def is_ready(self) -> bool:
        return self.get(self._ready_path)[0] == 200

    def wait_ready(self) -> "Program":
        """Wait until it does its work. Raises AssertionError with the end of its log."""
        try:
            wait_until(self.is_ready, START_DEADLINE_S, f"{self.name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from error
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a request to its HTTP server; (0, "") when nobody answers."""
        return http_get(self.url + path)

    def condition(self) -> dict[str, Any]:
        """The details of a department's `/readyz`; empty when nobody answers."""
        body = self.get("/readyz")[1]
        return dict(json.loads(body)) if body.startswith("{") else {}

    def metric(self, name: str) -> float:
        """The sum over all labels of that sample, or the one sample whose labels are given: `x_total{state="done"}`."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            sample, _, value = line.rpartition(" ")
            if sample == name or ("{" not in name and sample.startswith(f"{name}{{")):
                total += float(value)
        return total

    def kill(self) -> None:
        """`kill -9`. A wanted one is started again by the supervisor."""
        self.send(signal.SIGKILL)

    def kill_and_wait(self) -> None:
        """Kill it, and wait until the supervisor has seen it dead."""
        before = len(self.exit_codes)
        self.kill()
        wait_until(lambda: len(self.exit_codes) > before, START_DEADLINE_S, f"{self.name} is dead")

    def freeze(self) -> None:
        """SIGSTOP: it stands still, its connections stay open."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def stop(self) -> tuple[int, float]:
        """End it by SIGTERM, and do not start it again: the exit code, and the seconds that it took."""
        begun = time.monotonic()
        with self._lock:
            self.wanted = False
            process, self._process = self._process, None
            self._let_go()
        if process is None:
            return 0, 0.0
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            code = process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"{self.name} did not end within {STOP_DEADLINE_S:g} s\n{self.log_tail()}") from None
        self.exit_codes.append(code)
        return code, time.monotonic() - begun

    def restart(self, crash: CrashPoint | None = None, *, again: bool = False) -> "Program":
        """Stop it by SIGTERM and start it. It is not ready yet when this returns."""
        self.stop()
        return self.start(crash, again=again)

    def end(self) -> None:
        """End it at once, for good."""
        with self._lock:
            self.wanted = False
            self.send(signal.SIGKILL)
            if self._process is not None:
                self._process.wait()
                self._process = None
            self._let_go()

    def _let_go(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            untie(watcher)

    def output(self) -> str:
        """Everything that it printed and logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def entries(self, event: str) -> list[dict[str, Any]]:
        """The log entries of that event."""
        return log_entries(self.output(), event)

    def log_tail(self, lines: int = 15) -> str:
        shown = [line for line in self.output().splitlines() if '"level": "debug"' not in line][-lines:]
        return f"--- {self.name} (exit codes {self.exit_codes})\n" + "\n".join(shown)


def ended_by_itself(program: Program) -> list[int]:
    """The exit codes that no test asked for: neither killed nor stopped in order."""
    return [code for code in program.exit_codes if code not in (0, KILLED)]
