"""A private PostgreSQL server for tests: a cluster of its own in a temporary folder, on a free port of loopback."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from eventbus.operator.tether import tether, untie
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

# One pytest process may hold departments, whose hub a wait inside psycopg's C code would hold. Read at its import.
os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")

START_S = 60
STOP_S = 30
_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


class PostgreSQLServer:
    """A server that answers only to its own random password. As root it runs as `postgres` or `nobody`.

    A context manager: its folder and all its databases are gone afterwards.
    """

    def __init__(self) -> None:
        self._bin = find_binaries()
        self._account = _unprivileged_account()
        self._folder = Path(tempfile.mkdtemp(prefix="order-bus-postgresql-"))
        self._password = secrets.token_urlsafe(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def __enter__(self) -> "PostgreSQLServer":
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, database: str = "postgres") -> str:
        """Where that database is, as its superuser."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int | None:
        """Of the running server."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def data(self) -> Path:
        """The cluster's data directory."""
        return self._folder / "data"

    @property
    def account(self) -> str | None:
        """The account that it runs as, where that is not ours."""
        return self._account.get("user")

    def log(self) -> str:
        """All that it has written to its log."""
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a binary of the system
                [
                    self._bin / "postgres",
                    *("-D", self.data),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"),
                    *("-c", "unix_socket_directories=", "-c", "max_connections=200"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._account,
            )
        self._watcher = tether(self._process.pid, marker=f"-D {self._folder}", signal="QUIT")
        wait_until(self._answers, START_S, "PostgreSQL answers")

    def stop(self) -> None:
        """Stop the server in order: sessions are ended, nothing committed is lost. `start` brings it back."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Stop the server as a crash would."""
        self._end(signal.SIGQUIT)

    def freeze(self) -> None:
        """SIGSTOP for the server and all its sessions: connections stay open, nobody answers. Until `resume`."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on where it stood, with what clients have sent meanwhile."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._end(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        if self._account:
            for path in (self._folder, password_file):
                shutil.chown(path, self._account["user"], self._account["group"])
        initialised = subprocess.run(  # noqa: S603 - a binary of the system
            [
                self._bin / "initdb",
                *("-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
                *("-A", "scram-sha-256", "--pwfile", password_file),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self._folder,
            check=False,
            **self._account,
        )
        if initialised.returncode != 0:
            raise RuntimeError(f"initdb failed: {initialised.stderr.decode(errors='replace').strip()}")

    def _answers(self) -> bool:
        import psycopg

        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended at its start:\n{self.log()[-2000:]}")
        try:
            psycopg.connect(self.url(), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_all(self, number: signal.Signals) -> None:
        if (pid := self.pid) is None:
            return
        os.kill(pid, number)  # first: a server that stands still starts no more sessions
        # each session is the leader of a group of its own, so no signal to a group reaches them all
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
        for child in map(int, children.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def _end(self, how: signal.Signals) -> None:
        self.resume()
        process, self._process = self._process, None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            untie(watcher)
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


def create_database(server_url: str) -> str:
    """The URL of a new, empty database on that server."""
    import psycopg

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server_url.partition('?')[0].rpartition('/')[0]}/{name}"


def drop_database(server_url: str, url: str) -> None:
    """Remove a database that `create_database` made, whoever is still connected to it."""
    import psycopg

    name = url.rpartition("/")[2]
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`: of the PATH, or the newest where systems put them.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    if (found := shutil.which("initdb")) and (resolved := Path(found).resolve().parent / "postgres").exists():
        return resolved.parent
    folders = [folder for place in _PLACES for folder in Path("/").glob(place[1:]) if (folder / "initdb").exists()]
    if not folders:
        raise FileNotFoundError("PostgreSQL is not installed: install postgresql, or set TEST_DATABASE_URL to a server")
    return max(folders, key=_version)


def _version(folder: Path) -> int:
    return int("".join(c for c in folder.parent.name if c.isdigit())[:2] or 0)


def _unprivileged_account() -> dict[str, Any]:
    """Arguments for `subprocess`: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    import grp
    import pwd

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": name, "group": grp.getgrgid(entry.pw_gid).gr_name, "extra_groups": []}
    raise RuntimeError("PostgreSQL refuses to run as root, and neither postgres nor nobody is an account here")
