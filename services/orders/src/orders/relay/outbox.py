"""The outbox as the relay sees it: claims on rows, on PostgreSQL and on SQLite.

Claims begin at the oldest row, again and again: ids become visible out of order (a transaction may commit late), so
whoever remembers the last id misses rows. On PostgreSQL those in between leave out what was sent long ago (`floor.py`).
What is in flight already is left out: by its lock on PostgreSQL, and by its id,
which this process remembers, where no lock protects it.
"""

import json
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from eventbus.database import create_engine, parse_url
from eventbus.logs import get_logger
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection, Engine

from orders.relay.batch import Row
from orders.relay.floor import Floor
from orders.store.tables import outbox
from orders.store.watchdog import Watchdog

APPLICATION_NAME = "orders relay"
STATEMENT_TIMEOUT_MS = 10_000
ANSWER_TIMEOUT_S = 15.0
"""A server that is frozen does not even time out: then the connection is dropped from our side."""
LOCK_TIMEOUT_MS = 2_000

log = get_logger(__name__)

_COLUMNS = (outbox.c.id, outbox.c.routing_key, outbox.c.event_id, outbox.c.body)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is unsent."""

    rows: int
    oldest_body: bytes | None


class Claim(Protocol):
    """Rows that nobody else takes meanwhile. End it with `settle`, which may be tried again when it raises."""

    rows: Sequence[Row]

    def let_go(self) -> None:
        """Keep no transaction open any longer; `settle` is still to come. Never fails."""

    def settle(self, confirmed: Collection[int]) -> None:
        """Delete those rows and give the others back. Raises SQLAlchemyError: nothing is deleted yet."""


class Outbox(Protocol):
    """A database's outbox. Any number of threads may use it."""

    def claim(self, limit: int, *, without_keys: Sequence[str] = (), only_key: str | None = None) -> Claim:
        """The oldest rows that nobody holds, at most `limit`. Raises SQLAlchemyError while the database is away."""

    def backlog(self) -> Backlog:
        """What is unsent. Raises SQLAlchemyError while the database is away."""

    def close(self) -> None:
        """Close the connections that are not in use."""


def open_outbox(url: str, *, claims: int, idle_in_transaction_s: float) -> "PostgreSQLOutbox | SQLiteOutbox":
    """The outbox of that database. Connects to nothing yet."""
    if parse_url(url).get_backend_name() == "sqlite":
        return SQLiteOutbox(url)
    return PostgreSQLOutbox(url, claims=claims, idle_in_transaction_s=idle_in_transaction_s)


def sqlite_file(url: str) -> Path | None:
    """The database's file, or None on PostgreSQL."""
    parsed = parse_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


class _InHand:
    """The ids that this process has in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[int] = set()

    def select(self, rows_without: Callable[[list[int]], Sequence[Row]]) -> Sequence[Row]:
        """One thread at a time: select rows without those in flight, and add them to those."""
        with self._lock:
            rows = rows_without(list(self._ids))
            self._ids.update(row.id for row in rows)
            return rows

    def remove(self, rows: Sequence[Row]) -> None:
        with self._lock:
            self._ids.difference_update(row.id for row in rows)


def _oldest(limit: int, without_keys: Sequence[str], only_key: str | None) -> sa.Select[Any]:
    query = sa.select(*_COLUMNS).order_by(outbox.c.id).limit(limit)
    if only_key is not None:
        return query.where(outbox.c.routing_key == only_key)
    return query.where(outbox.c.routing_key.not_in(without_keys)) if without_keys else query


def _rows(result: Iterable[Any]) -> Sequence[Row]:
    return [Row(row[0], row[1], row[2], row[3]) for row in result]


def _backlog(connection: Connection) -> Backlog:
    rows = connection.scalar(sa.select(sa.func.count()).select_from(outbox)) or 0
    return Backlog(rows, connection.scalar(sa.select(outbox.c.body).order_by(outbox.c.id).limit(1)))


# ------------------------------------------------------------------ PostgreSQL


class PostgreSQLOutbox:
    """One transaction a claim, its rows locked until they are deleted: any number of relays share the rows."""

    def __init__(self, url: str, *, claims: int, idle_in_transaction_s: float) -> None:
        idle_ms = round(idle_in_transaction_s * 1000)
        timeouts = {
            "idle_in_transaction_session_timeout": idle_ms,
            # a relay that freezes while it reads many large rows: the server waits in the middle of sending them, which
            # is neither idle nor subject to statement_timeout
            "tcp_user_timeout": idle_ms,
            "statement_timeout": STATEMENT_TIMEOUT_MS,
            "lock_timeout": LOCK_TIMEOUT_MS,
        }
        self.engine = create_engine(
            url,
            application_name=APPLICATION_NAME,
            pool_size=claims + 1,  # and one for the metrics
            max_overflow=0,
            connect_args={"options": " ".join(f"-c {name}={value}" for name, value in timeouts.items())},
        )
        self.in_hand = _InHand()
        self._floor = Floor()
        self.watchdog = Watchdog(ANSWER_TIMEOUT_S)

    def claim(self, limit: int, *, without_keys: Sequence[str] = (), only_key: str | None = None) -> "PostgreSQLClaim":
        """See `Outbox`."""
        query = _oldest(limit, without_keys, only_key).with_for_update(skip_locked=True)
        connection = self.engine.connect()

        def rows_without(ids: list[int]) -> Sequence[Row]:
            wanted = query.where(sa.not_(_is_any(ids))) if ids else query
            if only_key is None:  # rows of a key that was refused for a while are old
                wanted = wanted.where(outbox.c.id > self._floor.take())
            with self.watchdog.guard(connection):
                rows = _rows(connection.execute(wanted))
            if rows and only_key is None:
                self._floor.found(rows[0].id)
            return rows

        try:
            rows = self.in_hand.select(rows_without)
        except BaseException:
            connection.close()
            raise
        if not rows:
            connection.close()
            return PostgreSQLClaim(self, None, rows)
        return PostgreSQLClaim(self, connection, rows)

    def delete(self, ids: Collection[int], connection: Connection) -> None:
        """Delete the rows in the transaction that holds them, and commit it."""
        with self.watchdog.guard(connection):
            connection.execute(outbox.delete().where(_is_any(ids)))
            connection.commit()

    def delete_free(self, ids: Collection[int]) -> None:
        """Delete the rows that nobody holds; what another relay has claimed meanwhile, that one deletes."""
        free = sa.select(outbox.c.id).where(_is_any(ids)).with_for_update(skip_locked=True)
        with self.engine.connect() as connection, self.watchdog.guard(connection):
            connection.execute(outbox.delete().where(outbox.c.id.in_(free)))
            connection.commit()

    def backlog(self) -> Backlog:
        """See `Outbox`."""
        with self.engine.connect() as connection, self.watchdog.guard(connection):
            return _backlog(connection)

    def close(self) -> None:
        """See `Outbox`."""
        self.watchdog.close()
        self.engine.dispose()


class PostgreSQLClaim:
    """See `Claim`. Its transaction is the one that selected the rows, unless that one had to be let go."""

    def __init__(self, outbox_: PostgreSQLOutbox, connection: Connection | None, rows: Sequence[Row]) -> None:
        self.rows = rows
        self._outbox = outbox_
        self._connection = connection

    def let_go(self) -> None:
        """See `Claim`."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except sa.exc.SQLAlchemyError as error:  # the server has ended the session, and so has freed the rows
            log.info("a claim's session was gone", reason=type(getattr(error, "orig", error)).__name__)

    def settle(self, confirmed: Collection[int]) -> None:
        """See `Claim`."""
        try:
            if confirmed and self._connection is not None:
                self._outbox.delete(confirmed, self._connection)
            elif confirmed:
                self._outbox.delete_free(confirmed)
        finally:
            self.let_go()
        self._outbox.in_hand.remove(self.rows)


def _is_any(ids: Collection[int]) -> sa.ColumnElement[bool]:
    array = sa.bindparam("ids", list(ids), type_=postgresql.ARRAY(sa.BigInteger), unique=True)
    return outbox.c.id == sa.any_(array)


# ------------------------------------------------------------------ SQLite


class SQLiteOutbox:
    """Select, publish and delete are three transactions: an open one would keep the gateway from writing.

    So only one relay may use the file at a time (`only_relay.py`).
    """

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)
        self.reading_engine = create_engine(url, writes=False)
        self._in_hand = _InHand()

    def claim(self, limit: int, *, without_keys: Sequence[str] = (), only_key: str | None = None) -> "SQLiteClaim":
        """See `Outbox`."""
        query = _oldest(limit, without_keys, only_key)

        def rows_without(ids: list[int]) -> Sequence[Row]:
            with self.reading_engine.connect() as connection:
                return _rows(connection.execute(query.where(sa.not_(_is_listed(ids))) if ids else query))

        return SQLiteClaim(self.engine, self._in_hand.select(rows_without), self._in_hand)

    def backlog(self) -> Backlog:
        """See `Outbox`."""
        with self.reading_engine.connect() as connection:
            return _backlog(connection)

    def close(self) -> None:
        """See `Outbox`."""
        self.engine.dispose()
        self.reading_engine.dispose()


class SQLiteClaim:
    """See `Claim`. No lock protects the rows: this process remembers them."""

    def __init__(self, engine: Engine, rows: Sequence[Row], in_hand: _InHand) -> None:
        self.rows = rows
        self._engine = engine
        self._in_hand = in_hand

    def let_go(self) -> None:
        """See `Claim`: no transaction is open."""

    def settle(self, confirmed: Collection[int]) -> None:
        """See `Claim`."""
        if confirmed:
            with self._engine.begin() as connection:
                connection.execute(outbox.delete().where(_is_listed(confirmed)))
        self._in_hand.remove(self.rows)


def _is_listed(ids: Collection[int]) -> sa.ColumnElement[bool]:
    listed = sa.func.json_each(sa.bindparam("ids", json.dumps(list(ids)), unique=True)).table_valued("value")
    return outbox.c.id.in_(sa.select(listed.c.value))
