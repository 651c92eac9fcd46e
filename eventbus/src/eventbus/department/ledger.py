"""The ledger: how a department with an external effect (a booking, a printed page) lets it happen once.

A row for each order, event type and copy says how far the effect has come. It is committed *before* the target is
called: after a crash in between the next worker finds the row, and asks the target before it repeats. A lease keeps
other workers off while one is calling.

Every function takes a connection and belongs into `Transactions.run`. The states between `new` and the department's
final ones are the department's own. Workers on several machines compare the lease with their own clocks: make it
longer than the longest call by more than those differ.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from eventbus.database import UtcDateTime
from eventbus.department.owner import is_gone
from eventbus.logs import get_logger

NEW = "new"
"""State of a row that was claimed and for which nothing has been sent."""
OWNER_CHARACTERS_MAX = 64
REFERENCE_CHARACTERS_MAX = 255
DETAIL_CHARACTERS_MAX = 500

_CHANGEABLE = frozenset({"attempt", "first_sent_at", "last_sent_at", "reference", "detail", "extra"})

log = get_logger(__name__)


class LeaseLostError(Exception):
    """Another worker has taken the row over, or has moved it on. Whoever meets this stops and touches nothing more."""


class Key(NamedTuple):
    """What an effect belongs to. `copy` counts from 1, for effects that may be wanted again (a second slip)."""

    order_number: str
    event_type: str
    copy: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, as it was read."""

    order_number: str
    event_type: str
    copy: int
    state: str
    cause_id: str
    """Id of the event that the effect answers."""
    owner: str | None
    lease_until: datetime | None
    attempt: int
    """Calls of the target so far."""
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    """When the target was last called; None: never, so the effect cannot have happened."""
    reference: str | None
    """What the target calls it."""
    detail: str | None
    extra: Mapping[str, Any]
    """Facts of the department's own, as JSON. No personal data."""
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> Key:
        """What the effect belongs to."""
        return Key(self.order_number, self.event_type, self.copy)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The row is ours until its lease ends. `fresh`: it did not exist before."""

    entry: Entry
    fresh: bool


@dataclass(frozen=True, slots=True)
class Held:
    """Another worker has the row, for that many seconds at most."""

    seconds_left: float
    entry: Entry


@dataclass(frozen=True, slots=True)
class Settled:
    """The effect is settled: there is nothing left to do but to say so again."""

    entry: Entry


def utcnow() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def ledger_table(metadata: sa.MetaData) -> sa.Table:
    """The table `ledger`, for a department's metadata and its first migration."""
    table = sa.Table(
        "ledger",
        metadata,
        sa.Column("order_number", sa.String(35), primary_key=True),
        sa.Column("event_type", sa.String(64), primary_key=True),
        sa.Column("copy", sa.SmallInteger, primary_key=True, autoincrement=False, server_default="1"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause_id", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(OWNER_CHARACTERS_MAX)),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("first_sent_at", UtcDateTime),
        sa.Column("last_sent_at", UtcDateTime),
        sa.Column("reference", sa.String(REFERENCE_CHARACTERS_MAX)),
        sa.Column("detail", sa.String(DETAIL_CHARACTERS_MAX)),
        sa.Column("extra", sa.Text, nullable=False, server_default="{}"),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    sa.Index("ledger_state_updated_at", table.c.state, table.c.updated_at)
    return table


class Ledger:
    """Reads and writes one department's ledger, on SQLite or PostgreSQL.

    Args:
        table: as `ledger_table` made it.
        clock: tells the time, with its zone.
    """

    def __init__(self, table: sa.Table, clock: Callable[[], datetime] = utcnow) -> None:
        self.table = table
        self.clock = clock

    def claim(
        self,
        connection: Connection,
        key: Key,
        cause_id: str,
        owner: str,
        lease_s: float,
        *,
        final_states: Collection[str],
    ) -> Claimed | Held | Settled:
        """Take the row for `lease_s` seconds: a new one, one that nobody holds, or one whose lease ran out or whose
        owner's process is known to be dead.

        A row in one of the final states is returned as it is. Claiming again as the same owner renews the lease, so an
        owner is one worker at one delivery, not a process.
        """
        now = self.clock()
        lease = {"owner": owner, "lease_until": now + timedelta(seconds=lease_s), "updated_at": now}
        if (entry := self._insert(connection, key, state=NEW, cause_id=cause_id, created_at=now, **lease)) is not None:
            return Claimed(entry, fresh=True)
        table = self.table.c
        free = sa.or_(
            table.owner.is_(None), table.owner == owner, table.lease_until.is_(None), table.lease_until <= now
        )
        take_over = (
            self.table.update()
            .where(self._is(key), table.state.not_in(final_states), free)
            .values(**lease)
            .returning(*self.table.columns)
        )
        if (row := connection.execute(take_over).one_or_none()) is not None:
            return Claimed(_entry(row), fresh=False)
        if (found := self.get(connection, key)) is None:  # deleted since: the next insert decides
            return self.claim(connection, key, cause_id, owner, lease_s, final_states=final_states)
        if found.state in final_states:
            return Settled(found)
        if is_gone(found.owner):
            log.info("lease of a dead worker taken over", order=key.order_number)
            self.release(connection, found)
            return self.claim(connection, key, cause_id, owner, lease_s, final_states=final_states)
        left = (found.lease_until - now).total_seconds() if found.lease_until else 0.0
        return Held(max(0.0, left), found)

    def advance(
        self,
        connection: Connection,
        entry: Entry,
        state: str,
        *,
        lease_s: float | None = None,
        release: bool = False,
        **changes: Any,
    ) -> Entry:
        """The entry in its next state, if the row is still as `entry` says: same state, same owner.

        A lease that ran out but was not taken over is still ours: what is known of an effect has to be written down.

        Args:
            lease_s: renews the lease for that long, which a call of the target needs.
            release: gives up the lease in the same statement, as a final state should.
            changes: `attempt`, `first_sent_at`, `last_sent_at`, `reference`, `detail`, `extra`.

        Raises:
            LeaseLostError: another worker has taken the row over or moved it on; nothing was written.
            TypeError, ValueError: a change that the table does not have, or that does not fit into it.
        """
        assert not (release and lease_s is not None), "either renewed or released"
        now = self.clock()
        values = _storable(changes) | {"state": state, "updated_at": now}
        if release:
            values |= {"owner": None, "lease_until": None}
        if lease_s is not None:
            values["lease_until"] = now + timedelta(seconds=lease_s)
        unchanged = (self.table.c.state == entry.state, self.table.c.owner.is_not_distinct_from(entry.owner))
        statement = (
            self.table.update().where(self._is(entry.key), *unchanged).values(**values).returning(*self.table.columns)
        )
        if (row := connection.execute(statement).one_or_none()) is None:
            raise LeaseLostError(f"{entry.order_number}: another worker has taken over the {entry.event_type} entry")
        return _entry(row)

    def release(self, connection: Connection, entry: Entry) -> None:
        """Give up the lease, so that the next worker need not wait for its end. Nothing happens if it is lost."""
        connection.execute(
            self.table.update()
            .where(self._is(entry.key), self.table.c.owner == entry.owner)
            .values(owner=None, lease_until=None, updated_at=self.clock())
        )

    def get(self, connection: Connection, key: Key) -> Entry | None:
        """The row of that key, or None."""
        row = connection.execute(self.table.select().where(self._is(key))).one_or_none()
        return None if row is None else _entry(row)

    def copies(self, connection: Connection, order_number: str, event_type: str) -> list[Entry]:
        """All rows of one order's event, by copy."""
        table = self.table.c
        statement = (
            self.table.select()
            .where(table.order_number == order_number, table.event_type == event_type)
            .order_by(table.copy)
        )
        return [_entry(row) for row in connection.execute(statement)]

    def open_entries(
        self,
        connection: Connection,
        states: Collection[str],
        *,
        older_than: datetime | None = None,
        limit: int,
    ) -> list[Entry]:
        """Up to `limit` rows in these states that did not change since `older_than`, the longest unchanged first."""
        table = self.table.c
        statement = self.table.select().where(table.state.in_(states)).order_by(table.updated_at).limit(limit)
        if older_than is not None:
            statement = statement.where(table.updated_at < older_than)
        return [_entry(row) for row in connection.execute(statement)]

    def entries(self, connection: Connection, statement: sa.Select[Any]) -> Iterator[Entry]:
        """The rows that a `select` of the whole table finds, one by one: for reports of a department's own."""
        return (_entry(row) for row in connection.execute(statement))

    def remembers_since(self, connection: Connection) -> datetime:
        """When the oldest row was made: a replay from before that would do effects twice. Without a row: now, for a
        new ledger cannot be told from one that was lost."""
        oldest: datetime | None = connection.scalar(sa.select(sa.func.min(self.table.c.created_at)))
        return oldest or self.clock()

    def _insert(self, connection: Connection, key: Key, **values: Any) -> Entry | None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = (
            insert(self.table).values(**key._asdict(), **values).on_conflict_do_nothing().returning(*self.table.columns)
        )
        row = connection.execute(statement).one_or_none()
        return None if row is None else _entry(row)

    def _is(self, key: Key) -> sa.ColumnElement[bool]:
        table = self.table.c
        return sa.and_(
            table.order_number == key.order_number, table.event_type == key.event_type, table.copy == key.copy
        )


@contextmanager
def advisory_lock(engine: Engine, key: Key) -> Iterator[bool]:
    """Whether we hold the key's lock, for as long as the block lasts. Take it over the call of the target.

    A lease alone cannot stop an owner that was frozen for longer than it; this lock dies with the process or its
    database connection. PostgreSQL only; on SQLite (one machine) it is always True and locks nothing. It occupies a
    pooled connection of its own, so the pool must be larger than the number of calls at a time; it needs a session of
    its own, so not a PgBouncer in transaction mode.
    """
    if engine.dialect.name != "postgresql":
        yield True
        return
    number = _lock_number(key)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(number))):
            yield False
            return
        try:
            yield True
        finally:
            _unlock(connection, number)


def _unlock(connection: Connection, number: int) -> None:
    try:
        connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))
    except sa.exc.SQLAlchemyError as error:
        # the lock is gone with its session; what the call of the target has brought must not be lost with it
        connection.invalidate()
        log.warning("advisory lock lost with its connection", error=type(error).__name__)


def _lock_number(key: Key) -> int:
    digest = hashlib.sha256(f"ledger/{key.order_number}/{key.event_type}/{key.copy}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _storable(changes: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := changes.keys() - _CHANGEABLE:
        raise TypeError(f"the ledger has no changeable column {', '.join(sorted(unknown))}")
    for column, limit in (("reference", REFERENCE_CHARACTERS_MAX), ("detail", DETAIL_CHARACTERS_MAX)):
        if len(changes.get(column) or "") > limit:
            raise ValueError(f"{column} has {len(changes[column])} characters, {limit} is the limit")
    values = dict(changes)
    if "extra" in values:
        values["extra"] = json.dumps(values["extra"], ensure_ascii=False)
    return values


def _entry(row: sa.Row[Any]) -> Entry:
    values = dict(row._mapping)
    values["extra"] = json.loads(values["extra"])
    return Entry(**values)
