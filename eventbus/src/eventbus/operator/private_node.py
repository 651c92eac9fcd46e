"""A RabbitMQ of one's own under one folder: on loopback, free ports, an own password, without an epmd daemon.

    with PrivateNode(Path("var/broker")) as node:
        pika.BlockingConnection(pika.URLParameters(node.amqp_url))

`python -m eventbus.operator.private_node <folder>` runs it in the foreground, for a supervisor.
"""

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import pika
import pika.exceptions
import requests
from pydantic import BaseModel, ConfigDict, ValidationError

from eventbus.operator._ports import free_ports, is_free
from eventbus.operator.tether import tether, untie

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0  # with the management plugin a stop takes six seconds on 3.10, one on 4.0 (measured)
WAL_BYTES_MAX = 16 * 1024 * 1024  # RabbitMQ's default is 512 MB
LOG_BYTES_MAX = 10 * 1024 * 1024
START_ATTEMPTS_MAX = 3
_NOBODY_LISTENS = 1  # a port of a service that no system offers any more
_WITHOUT_EPMD = r'os:putenv("ERL_FLAGS","-start_epmd\sfalse\s-erl_epmd_port\s0").'
"""What an Erlang started by the node gets; without spaces, since a shell splits the node's arguments there."""
_USER = "bus"
_HOMEBREW = (Path("/opt/homebrew"), Path("/usr/local"), Path("/home/linuxbrew/.linuxbrew"))
_PLACES = (
    Path("/usr/lib/rabbitmq/bin"),
    Path("/usr/sbin"),
    *(p / d for p in _HOMEBREW for d in ("opt/rabbitmq/sbin", "sbin")),
)


class ServerNotFoundError(Exception):
    """There is no `rabbitmq-server` on this machine, or not where `RABBITMQ_SERVER` says."""


class NodeStartError(Exception):
    """The node ended or was not ready in time. The text ends with the last lines of its log."""


class _State(BaseModel):
    """What a node keeps between two starts."""

    model_config = ConfigDict(frozen=True)

    amqp_port: int
    management_port: int
    distribution_port: int
    password: str

    @property
    def ports(self) -> tuple[int, int, int]:
        return self.amqp_port, self.management_port, self.distribution_port


def find_server(named: str | Path | None = None) -> Path:
    """The executable: `named`, else `RABBITMQ_SERVER`, else on the PATH or where Debian and Homebrew put it.

    Debian's `/usr/sbin/rabbitmq-server` switches to the user of the system's service; what lies behind it is taken.

    Raises:
        ServerNotFoundError: there is none.
    """
    if wanted := str(named or os.environ.get("RABBITMQ_SERVER", "")):
        if found := shutil.which(wanted):
            return Path(found).absolute()
        raise ServerNotFoundError(f"RABBITMQ_SERVER: expected the path of a rabbitmq-server, got: {wanted}")
    on_path = [Path(found)] if (found := shutil.which("rabbitmq-server")) else []
    for candidate in (*on_path, *(place / "rabbitmq-server" for place in _PLACES)):
        behind = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        server = behind if candidate.parent == Path("/usr/sbin") and behind.exists() else candidate
        if os.access(server, os.X_OK):
            return server.absolute()
    raise ServerNotFoundError("rabbitmq-server is not installed (RABBITMQ_SERVER may name one that lies elsewhere)")


class PrivateNode:
    """One node. Its ports and password stay the same as long as its folder does; so does its data.

    Args:
        directory: the node's folder.
        server: the executable, see `find_server`.
        name: Erlang's, of this node. With a dot in its host it is a long one.
        password: of the user; None: one of the node's own. A cluster's users are those of the node that started first.
        settings: more lines of rabbitmq.conf.
        erlang: more arguments of the Erlang machine. What concerns its connections to other nodes must stand here: they
            are up before rabbitmq.conf is read.
    """

    def __init__(
        self,
        directory: str | Path,
        server: str | Path | None = None,
        *,
        name: str = f"{_USER}@localhost",
        password: str | None = None,
        settings: Mapping[str, object] = MappingProxyType({}),
        erlang: str = "",
    ) -> None:
        self.directory = Path(directory).absolute()
        self.name = name
        self._server = server
        self._password = password
        self._settings = settings
        self._erlang = erlang
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def amqp_url(self) -> str:
        state = self._state()
        return f"amqp://{_USER}:{state.password}@127.0.0.1:{state.amqp_port}/"

    @property
    def management_url(self) -> str:
        """The HTTP API and console, with an administrator's name and password, without a slash at the end."""
        state = self._state()
        return f"http://{_USER}:{state.password}@127.0.0.1:{state.management_port}"

    @property
    def amqp_port(self) -> int:
        """Where it takes connections on loopback."""
        return self._state().amqp_port

    @property
    def distribution_port(self) -> int:
        """Where other nodes and `rabbitmqctl` reach it: the port on which it looks for those as well."""
        return self._state().distribution_port

    @property
    def log_path(self) -> Path:
        return self.directory / "log" / "rabbitmq.log"

    @property
    def pid(self) -> int | None:
        """Of the running node, if this object started it."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Starts the node and waits until it takes connections.

        Raises:
            ServerNotFoundError: RabbitMQ is not installed.
            NodeStartError: it ended, or is not ready within the timeout.
        """
        if self.pid:
            return
        for attempt in range(1, START_ATTEMPTS_MAX + 1):
            self._spawn()
            try:
                return self.wait_ready(timeout_s)
            except NodeStartError as error:
                self.kill()
                if "eaddrinuse" not in str(error) or attempt == START_ATTEMPTS_MAX:
                    raise

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ends the node in an orderly way; after the timeout by `kill`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """Ends the node at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
        self._reap()

    def pause(self) -> None:
        """The node stops answering, its connections stay open, as on a host that hangs; `resume` ends it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def end_leftover(self) -> None:
        """Kills a node that an earlier starter left running in this folder, if there is one."""
        if pid := self._leftover_pid():
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while self._leftover_pid() and time.monotonic() < deadline:
                time.sleep(0.05)

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        """Writes the node's files; returns the command and the environment that run it in the foreground.

        Ports that another process took since the last start are replaced.

        Raises:
            ServerNotFoundError: RabbitMQ is not installed.
            NodeStartError: a node runs in this folder already; two would destroy its data.
            OSError: not enough ports are free.
        """
        server = find_server(self._server)
        for folder in (self.directory, self.log_path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if pid := self._leftover_pid():
            raise NodeStartError(f"{self.directory}: a node runs here already (process {pid})")
        state = self._stored_state()
        if state is None or not all(is_free(port) for port in state.ports):
            amqp, management, distribution = free_ports(3)
            password = state.password if state else self._password or secrets.token_urlsafe(24)
            state = _State(
                amqp_port=amqp, management_port=management, distribution_port=distribution, password=password
            )
            self._write("node.json", state.model_dump_json(indent=1))
        self._write("rabbitmq.conf", self._configuration(state))
        self._write("enabled_plugins", "[rabbitmq_management].\n")
        if not (self.directory / ".erlang.cookie").exists():
            self._write(".erlang.cookie", secrets.token_hex(20), mode=0o400)
        return [str(server)], self._environment(server, state)

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns when AMQP and the management API answer, whoever runs the node.

        Raises:
            NodeStartError: it ended, or does not answer within the timeout.
        """
        deadline = time.monotonic() + timeout_s
        while not self.answers():
            if self._process is not None and self._process.poll() is not None:
                raise NodeStartError(f"RabbitMQ ended with code {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise NodeStartError(f"RabbitMQ is not ready after {timeout_s:.0f} s:\n{self.log_tail()}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether AMQP and the management API both take our login now."""
        state = self._state()
        try:
            with requests.Session() as http:
                http.trust_env = False  # no proxy between us and loopback
                http.auth = (_USER, state.password)
                http.get(f"http://127.0.0.1:{state.management_port}/api/overview", timeout=5).raise_for_status()
            parameters = pika.URLParameters(f"{self.amqp_url}?socket_timeout=5&blocked_connection_timeout=5")
            pika.BlockingConnection(parameters).close()
        except (requests.RequestException, pika.exceptions.AMQPError, OSError):
            return False
        return True

    def _spawn(self) -> None:
        command, environment = self.prepare()
        with (self.directory / "log" / "startup.log").open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - found by find_server
                command,
                env=environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the one that started it
            )
        self._watcher = tether(self._process.pid, marker=_marker(self._state()))

    def _leftover_pid(self) -> int | None:
        """The process that runs this folder's node, whoever started it."""
        state, file = self._stored_state(), self.directory / "rabbitmq.pid"
        if state is None or not file.exists() or not (pid := file.read_text(encoding="utf-8").strip()).isdecimal():
            return None
        command = ["ps", "-ww", "-o", "args=", "-p", pid]
        seen = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
        return int(pid) if _marker(state) in seen else None

    def _reap(self) -> None:
        if self._watcher is not None:
            untie(self._watcher)
        if self._process is not None:
            self._process.wait()
        self._watcher = self._process = None

    def _state(self) -> _State:
        state = self._stored_state()
        if state is None:
            raise NodeStartError(f"{self.directory}: no node was started in this folder yet")
        return state

    def _stored_state(self) -> _State | None:
        path = self.directory / "node.json"
        if not path.exists():
            return None
        try:
            return _State.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise NodeStartError(f"{path}: expected what an earlier start wrote; remove {self.directory}") from error

    def _write(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def _configuration(self, state: _State) -> str:
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{state.amqp_port}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": state.management_port,
            "default_user": _USER,  # created in place of guest when the data is empty
            "default_pass": state.password,
            "raft.wal_max_size_bytes": WAL_BYTES_MAX,
            "collect_statistics_interval": 1000,
            "log.file": self.log_path,
            "log.file.rotation.size": LOG_BYTES_MAX,
            "log.file.rotation.count": 3,
            **self._settings,
        }
        return "".join(f"{key} = {value}\n" for key, value in settings.items())

    def _environment(self, server: Path, state: _State) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        here = self.directory
        # With a fixed port for the distribution a node needs no epmd (Erlang's kernel documentation, `erl_epmd_port`).
        # Nevertheless RabbitMQ once a minute starts an Erlang that starts one, and registers there; of two nodes of one
        # name the second then loses a file handle a minute (rabbit_epmd_monitor and erl_epmd, seen on 3.10.8 and
        # 4.0.5). So that Erlang starts none, and the node asks on a port where nobody listens.
        is_long = "." in self.name.partition("@")[2]
        erlang = (
            f"-noinput {'-name' if is_long else '-sname'} {self.name} -start_epmd false"
            f" -erl_epmd_port {state.distribution_port} -kernel inet_dist_use_interface {{127,0,0,1}}"
            f" -eval {_WITHOUT_EPMD} {self._erlang}"
        )
        return kept | {
            "HOME": str(here),  # where Erlang looks for the cookie
            "PATH": f"{kept.get('PATH', os.defpath)}:{server.parent}:{server.parent.parent / 'bin'}",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the node in place of waiting for it: one pid
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_USE_LONGNAME": str(is_long).lower(),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),  # not the system's
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(here / "feature_flags"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "generated"),
            "RABBITMQ_PID_FILE": str(here / "rabbitmq.pid"),
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_LOG_BASE": str(self.log_path.parent),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang,
            "ERL_EPMD_PORT": str(_NOBODY_LISTENS),
            "ERL_CRASH_DUMP": str(self.log_path.parent / "erl_crash.dump"),
        }

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of what the node wrote, for a message."""
        tail: list[str] = []
        for path in (self.log_path, self.log_path.parent / "startup.log"):
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="replace").splitlines()
                tail += [f"  {line}" for line in text[-lines:] if line.strip()]
        return "\n".join(tail) or "  (it wrote no log)"


def _marker(state: _State) -> str:
    """By this the node's command line is known from all others'."""
    return f"-erl_epmd_port {state.distribution_port} "


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eventbus.operator.private_node", description=__doc__)
    parser.add_argument("directory", type=Path, help="the node's folder")
    parser.add_argument("--server", help="path of a rabbitmq-server")
    arguments = parser.parse_args()
    try:
        command, environment = PrivateNode(arguments.directory, arguments.server).prepare()
    except (ServerNotFoundError, NodeStartError, OSError) as error:
        sys.exit(str(error))
    os.execve(command[0], command, environment)  # noqa: S606 - the supervisor shall see the node itself


if __name__ == "__main__":
    main()
