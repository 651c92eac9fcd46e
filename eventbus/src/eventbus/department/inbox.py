"""The inbox: how a department whose effect lies in its own database lets each event count once.

The ids of the events go into the inbox in the same transaction as their effect. What it held already is a repeat
(after a crash, a redrive, a replay) and has no effect.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from eventbus.database import UtcDateTime
from eventbus.department.outcomes import Permanent

KEPT_AT_LEAST = timedelta(days=90)
"""Three times the archive's 30 days: within them, whatever is replayed is known again."""
EVENT_ID_CHARACTERS_MAX = 255
FORGOTTEN_AT_ONCE_MAX = 10_000
"""Rows of one `forget`, so that its transaction keeps no batch waiting for long."""

_HORIZON_ID = ""
"""The row whose time is the newest `before` of `forget`. No event has this id: the contract wants one character."""


def inbox_table(metadata: sa.MetaData, name: str = "inbox") -> sa.Table:
    """The table of an inbox, for a department's `tables` and for its migration."""
    return sa.Table(
        name,
        metadata,
        sa.Column("event_id", sa.String(EVENT_ID_CHARACTERS_MAX), primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False, index=True),
    )


class Inbox:
    """The ids of the events whose effect is in this database."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table

    def take(self, connection: Connection, event_ids: Iterable[str]) -> set[str]:
        """The ids that are new: those whose events must now have their effect, in this same transaction.

        An id that stands in the call twice is new once. Of two transactions with the same id the second one waits for
        the first: after its commit the id is known, after its rollback it is new. Ids are inserted in sorted order, so
        that two batches never wait for each other.

        Raises:
            Permanent: an id that no database keeps: longer than 255 characters, a NUL, or not Unicode.
        """
        ids = sorted(set(event_ids))
        for event_id in ids:
            _check(event_id)
        if not ids:
            return set()
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        now = datetime.now(UTC)
        statement = insert(self.table).on_conflict_do_nothing().returning(self.table.c.event_id)
        return set(connection.scalars(statement, [{"event_id": event_id, "received_at": now} for event_id in ids]))

    def remembers_since(self, connection: Connection) -> datetime | None:
        """From when on every event that had its effect is known. None: from the beginning, nothing was forgotten.

        A replay from before that would let events have their effect again.
        """
        horizon: datetime | None = connection.scalar(
            sa.select(self.table.c.received_at).where(self.table.c.event_id == _HORIZON_ID)
        )
        return horizon

    def forget(self, connection: Connection, before: datetime) -> int:
        """How many ids received before that moment were removed: 10,000 at most, so repeat it until it returns 0.

        Raises:
            ValueError: `before` is less than 90 days ago.
        """
        if before > datetime.now(UTC) - KEPT_AT_LEAST:
            raise ValueError(f"an inbox keeps its ids for {KEPT_AT_LEAST.days} days at least")
        table = self.table
        old = (table.c.received_at < before) & (table.c.event_id != _HORIZON_ID)
        some = sa.select(table.c.event_id).where(old).limit(FORGOTTEN_AT_ONCE_MAX)
        forgotten = connection.execute(sa.delete(table).where(table.c.event_id.in_(some))).rowcount
        if forgotten:
            self._move_horizon(connection, before)
        return forgotten

    def _move_horizon(self, connection: Connection, before: datetime) -> None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(self.table).values(event_id=_HORIZON_ID, received_at=before)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[self.table.c.event_id],
                set_={"received_at": statement.excluded.received_at},
                where=self.table.c.received_at < statement.excluded.received_at,
            )
        )


def _check(event_id: str) -> None:
    if not event_id or len(event_id) > EVENT_ID_CHARACTERS_MAX:
        raise Permanent(f"the event's id has {len(event_id)} characters, 1 to {EVENT_ID_CHARACTERS_MAX} can be kept")
    if "\0" in event_id or any("\ud800" <= character <= "\udfff" for character in event_id):
        raise Permanent("the event's id contains a NUL or a lone surrogate, which no database keeps")
