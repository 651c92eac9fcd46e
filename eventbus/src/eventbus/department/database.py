"""A department's own database inside eventlet: whole transactions that never hold the hub."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import eventlet
from eventlet import tpool
from eventlet.semaphore import Semaphore
from nameko.extensions import DependencyProvider
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from eventbus import database
from eventbus.department.outcomes import Transient
from eventbus.logs import get_logger

log = get_logger(__name__)

WAIT_S = 1.0
IDLE_IN_TRANSACTION_S = 60
"""PostgreSQL ends a session that does nothing in its transaction for so long: a worker that stands still would keep
its rows locked, and with them every other worker waiting."""
_PASSING = ("25", "53", "57", "58")
"""Classes of SQLSTATE: invalid transaction state (read-only among them), no resources, an operator, the system."""
Result = TypeVar("Result")


class Transactions:
    """Runs work in transactions of one database.

    On SQLite a whole transaction runs in a native thread, one at a time: `busy_timeout` sleeps in C, which would hold
    every greenlet. On PostgreSQL psycopg waits with `select`, which eventlet makes cooperative (see `run`).
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._in_thread = database.is_sqlite(engine)
        self._turn = Semaphore(1)

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work(connection)` returns, after its commit. An exception rolls back and is raised again.

        A database that is away, locked or full raises `Transient`: as a bug, an outage of minutes would park orders.
        `work` must not switch greenlets by other means than the connection: on SQLite it runs in a native thread.
        """
        try:
            if not self._in_thread:
                return self._transaction(work)
            with self._turn:
                return tpool.execute(self._transaction, work)
        except (DBAPIError, PoolTimeoutError) as error:
            if not _is_away(error):
                raise
            raise Transient(f"the department's database is away: {type(error.__cause__ or error).__name__}") from error

    def _transaction(self, work: Callable[[Connection], Result]) -> Result:
        with self.engine.begin() as connection:
            return work(connection)


def _is_away(error: DBAPIError | PoolTimeoutError) -> bool:
    """Whether the fault is the database's and will pass: away, locked, full, shutting down, or a server that has become
    read-only (a fail-over; psycopg calls that an internal error)."""
    if not isinstance(error, DBAPIError):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated or state[:2] in _PASSING


class Memory(Protocol):
    """What the department knows events again by: its `Ledger` or `Inbox`."""

    def remembers_since(self, connection: Connection) -> datetime | None:
        """From when on it can tell a repeat."""


class Database(DependencyProvider):
    """Injects `Transactions` on the settings' `database_url`, migrated by the package's `migrations` at start.

    The start waits for a database that is away.

    Args:
        package: with the folder `migrations`.
        memory: of the department, in this database. Its announcement says how far back it reaches.
    """

    def __init__(self, package: str, memory: Memory | None = None) -> None:
        self.package = package
        self.memory = memory
        self._transactions: Transactions | None = None

    def setup(self) -> None:
        settings = self.container.config["settings"]
        self._upgrade_when_there(settings.database_url)
        options = (
            {}
            if database.parse_url(settings.database_url).get_backend_name() == "sqlite"
            else {
                "pool_size": settings.max_workers,
                "max_overflow": 5,
                "pool_pre_ping": True,
                # the second one: a worker that froze in the middle of an answer, which does not count as idle
                "connect_args": {
                    "options": f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S}s"
                    f" -c tcp_user_timeout={IDLE_IN_TRANSACTION_S}s"
                },
            }
        )
        engine = database.create_engine(settings.database_url, application_name=settings.department, **options)
        self._transactions = Transactions(engine)

    def _upgrade_when_there(self, url: str) -> None:
        while True:
            try:
                tpool.execute(database.upgrade, url, self.package)
            except (OperationalError, InterfaceError, TimeoutError) as error:
                log.warning("waiting for the database", error=type(error.__cause__ or error).__name__)
                eventlet.sleep(WAIT_S)
            else:
                return

    def stop(self) -> None:
        if self._transactions is not None:
            self._transactions.engine.dispose()

    def remembers_since(self) -> datetime | None:
        """For the announcement; None: there is no memory, or it holds nothing."""
        if self.memory is None:
            return None
        assert self._transactions is not None
        return self._transactions.run(self.memory.remembers_since)

    def get_dependency(self, worker_ctx: Any) -> Transactions:  # noqa: ARG002 - nameko's signature
        assert self._transactions is not None
        return self._transactions
