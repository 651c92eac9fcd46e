"""An instance of the whole bus on this machine: started in order, watched, and drained in the opposite order."""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from broker import Broker, choose_broker
from environment import (
    callers_environment,
    check_databases,
    own_variables,
    variables_of_settings,
    write_environment,
)
from eventbus.operator.connection import vhost_of
from eventbus.operator.errors import OperatorError
from eventbus.operator.management import Management
from eventbus.settings import EXIT_CONFIGURATION
from logins import Logins, plan_logins
from processes import Readiness, Services, read_services
from progress import StepError, say
from supervision import BROKER, DRAIN_S_MAX, Process, Supervisor, end_leftover

from eventbus import rights

READY_TIMEOUT_S = 120
DEATHS_MAX = 4
"""A program that dies so often while the others get ready will not get so."""
NEWS_S = 30
POLL_S = 0.3
LOG_LINES = 12


class Interrupted(Exception):  # noqa: N818 - no error: the way to end
    """Ctrl-C, SIGTERM, the terminal was closed, or `make` has gone."""


class Deaths:
    """How often one program has ended, seen by its process changing."""

    def __init__(self) -> None:
        self.count = 0
        self._pid = 0
        self._told_at = -float(NEWS_S)

    def see(self, process: Process) -> bool:
        """Whether it has ended since the last look."""
        changed = self._pid not in (0, process.pid)
        self._pid = process.pid
        self.count += changed
        return changed or (process.state == "EXITED" and process.exit_code == EXIT_CONFIGURATION)

    def is_news(self) -> bool:
        """False if that was told half a minute ago: a loop of deaths must not fill the terminal."""
        now = time.monotonic()
        if now - self._told_at < NEWS_S:
            return False
        self._told_at = now
        return True


class Launch:
    """`with Launch(root, folder) as launch:` runs everything; leaving it drains and stops everything.

    Args:
        keeps: whether the folder's data will be used again; if not, the private broker is not stopped in order, and any
            ports will do.
    """

    def __init__(self, root: Path, folder: Path, keeps: bool = True) -> None:
        self.root, self.folder, self._keeps = root, folder, keeps
        self.variables: dict[str, str] = {}
        self.broker: Broker
        self.services: Services
        self.logins = Logins()
        self.supervisor: Supervisor | None = None
        self._parent = os.getppid() if "MAKELEVEL" in os.environ else None
        self._deaths: dict[str, Deaths] = {}
        self._interrupts = 0
        self._broker_ended = False

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def watch(self) -> None:
        """Returns never: tells what died and started again, until interrupted.

        Raises:
            StepError: a process refuses its configuration (exit code 78), or the supervisor has gone.
        """
        while True:
            self._look()
            time.sleep(POLL_S)

    def wait_a_moment(self) -> None:
        """For whoever waits for something: `watch`, once."""
        self._look()
        time.sleep(POLL_S)

    def _start(self) -> None:
        given = callers_environment()
        check_databases(self.root, given)
        for folder in (self.folder, self.folder / "log", self.folder / "data"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "env").unlink(missing_ok=True)
        end_leftover(self.folder)
        own = own_variables(self.folder, given)
        self.broker = choose_broker(self.folder / "broker", given)
        own |= self.broker.environment
        self.services = read_services(self.root, given | own, prefers_ports=self._keeps)
        named = self.services.users
        self.logins = plan_logins(self.broker, named.values(), self.folder / "users", keeps=self._keeps)
        for line in filter(None, [*self.services.notes, self.logins.note]):
            say(f"  {line}")
        self.variables = own | variables_of_settings(self.root, given) | self.services.environment | own
        urls = {program: self.logins.urls[user] for program, user in named.items() if self.logins.urls}
        self.supervisor = Supervisor(self.root, self.folder, self.services, self.broker.node, urls)
        environment = {**given, **self.variables}
        if urls:  # what may do everything is the operator's alone
            environment = {k: v for k, v in environment.items() if k not in self.broker.environment}
        self.supervisor.start(environment)
        self._start_broker()
        for priority in sorted({program.priority for program in self.services.programs}):
            names = [program.name for program in self.services.programs if program.priority == priority]
            self._start_tier(names, [each for each in self.services.ready if each.priority == priority])
        write_environment(self.folder / "env", self.variables)

    def _start_broker(self) -> None:
        assert self.supervisor is not None
        if node := self.broker.node:
            started = time.monotonic()
            self.supervisor.start_programs([BROKER])
            while not node.answers():
                self._look(starting=True)
                if time.monotonic() - started > READY_TIMEOUT_S:
                    raise StepError(f"RabbitMQ is not ready after {READY_TIMEOUT_S} s:\n{node.log_tail()}")
                time.sleep(0.1)
            say(f"  {'RabbitMQ':<14} ready after {time.monotonic() - started:.1f} s")
        self._establish()

    def _establish(self) -> None:
        """Users and what all share are on the broker: at the start, and after a private node has ended.

        A node that was killed may have forgotten what is seconds old, and no service may declare it.
        """
        self._broker_ended = False
        self._declare_users()
        self._declare_topology()

    def _establish_again(self) -> None:
        """A broker that is not quite there yet is no reason to end: the next look tries again."""
        try:
            self._establish()
        except StepError as error:
            self._broker_ended = True
            if self._deaths[BROKER].is_news():
                say(f"  {BROKER} not usable yet: {error}")

    def _declare_users(self) -> None:
        if not self.logins.urls or self.broker.management_url is None:
            return
        management = Management(self.broker.management_url, vhost_of(self.broker.amqp_url))
        try:
            self.logins.declare(management)
        except OperatorError as error:
            raise StepError(str(error)) from error

    def _declare_topology(self) -> None:
        """A node that was started again takes connections some seconds before its stream is there."""
        command = ["bus", "topology", "declare"]
        own = {"AMQP_URL": self.logins.urls[rights.TOPOLOGY]} if self.logins.urls else {}
        environment = {**os.environ, **self.variables, **own}
        started = time.monotonic()
        while (done := subprocess.run(command, env=environment, capture_output=True, text=True)).returncode:
            self._look()  # Ctrl-C reaches that process as well
            told = (done.stderr or done.stdout).strip()
            if "down or inaccessible" not in told or time.monotonic() - started > READY_TIMEOUT_S:
                raise StepError(f"{' '.join(command)}: {told}")
            time.sleep(0.2)

    def _start_tier(self, names: Sequence[str], waits: Sequence[Readiness]) -> None:
        """Starts these and waits until those that have a URL are ready."""
        assert self.supervisor is not None
        started = time.monotonic()
        self.supervisor.start_programs(names)
        for name in sorted({*names} - {each.program for each in waits}):
            say(f"  {name:<14} started (its processes.conf has no ready=)")
        pending = list(waits)
        while pending:
            self._look(starting=True)
            for readiness in [each for each in pending if _answers(each.url)]:
                pending.remove(readiness)
                say(f"  {readiness.program:<14} ready after {time.monotonic() - started:.1f} s")
            if time.monotonic() - started > READY_TIMEOUT_S:
                late = sorted({each.program for each in pending})
                raise StepError(f"Not ready after {READY_TIMEOUT_S} s: {', '.join(late)}\n{self._log_tails(late)}")
            time.sleep(0.1)

    def _look(self, starting: bool = False) -> None:
        assert self.supervisor is not None
        if self._interrupts or (self._parent is not None and os.getppid() != self._parent):
            raise Interrupted
        for process in self.supervisor.processes():
            deaths = self._deaths.setdefault(process.name, Deaths())
            if deaths.see(process):
                self._tell(process, deaths, starting)
        if not self.supervisor.alive():
            raise StepError(f"The supervisor has ended: see {self.supervisor.log('supervisord')}")
        if self._broker_ended and self.broker.node and self.broker.node.answers():
            self._establish_again()

    def _tell(self, process: Process, deaths: Deaths, starting: bool) -> None:
        assert self.supervisor is not None
        self._broker_ended = self._broker_ended or process.name == BROKER
        if process.exit_code == EXIT_CONFIGURATION:
            raise StepError(self._last_line(process.name))
        if starting and deaths.count >= DEATHS_MAX:
            raise StepError(f"{process.name} ends again and again:\n{self._log_tails([process.name])}")
        if deaths.is_news():
            log = os.path.relpath(self.supervisor.log(process.name))
            say(f"  {process.name} {self.supervisor.last_exit(process.name)}, starts again ({log})")

    def _stop(self) -> None:
        """Drains tier after tier, the gateway first, the broker last. A second interrupt ends all at once."""
        if self.supervisor is None:
            return
        tiers = self.supervisor.tiers() if self.supervisor.alive() else []
        before = self._interrupts
        for names in tiers:
            if self._interrupts == before and (self._keeps or names != [BROKER]):
                self._stop_tier(names)
        if self._interrupts > before:
            say("Not waiting any longer")
        self.supervisor.end()
        if self.broker.node:
            self.broker.node.end_leftover()

    def _stop_tier(self, names: list[str]) -> None:
        assert self.supervisor is not None
        if not (running := self.supervisor.running(names)):
            return
        say(f"Stopping {', '.join(running)}")
        self.supervisor.stop_programs(running)
        before, deadline = self._interrupts, time.monotonic() + DRAIN_S_MAX
        while self.supervisor.running(names) and self.supervisor.alive() and time.monotonic() < deadline:
            if self._interrupts > before:
                return
            time.sleep(0.1)

    def _last_line(self, program: str) -> str:
        assert self.supervisor is not None
        text = self.supervisor.log(program).read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.startswith("configuration: ")] or text.splitlines() or [""]
        return f"{program}: {lines[-1]}"

    def _log_tails(self, programs: Sequence[str]) -> str:
        assert self.supervisor is not None
        out = []
        for log in filter(Path.exists, map(self.supervisor.log, programs)):
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            out += [f"{log}:", *(f"  {line[:400]}" for line in tail)]
        return "\n".join(out)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupts += 1  # looked at between two steps: an exception amid a call would leave it half done


@contextlib.contextmanager
def sole(folder: Path) -> Iterator[None]:
    """Holds the instance's lock: one launcher for each folder.

    Raises:
        StepError: another holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise StepError(f"It runs already (process {lock.read().strip()}): {folder}") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy between us and loopback
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
