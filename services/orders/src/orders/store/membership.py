"""Which departments there are: a row for each set of patterns and the time from which it was in force."""

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from eventbus.contract import DepartmentJoined, DepartmentLeft, Event
from sqlalchemy.engine import Connection

from orders.store.tables import departments


def keep_announcement(connection: Connection, event: Event[DepartmentJoined | DepartmentLeft]) -> None:
    """Take in an announcement. The latest `time` wins; a repeat at a restart moves no joining time."""
    if connection.dialect.name == "postgresql":
        # trackers take turns; announcements are rare, and readers do not wait
        connection.execute(sa.text("LOCK TABLE departments IN SHARE ROW EXCLUSIVE MODE"))
    name = event.data.department
    time = event.time or datetime.now(UTC)
    rows = connection.execute(
        sa.select(departments).where(departments.c.name == name).order_by(departments.c.since)
    ).all()
    latest = rows[-1] if rows else None
    patterns = json.dumps(sorted(event.data.patterns)) if isinstance(event.data, DepartmentJoined) else None
    if latest is None:
        _insert(connection, name, time, patterns)
    elif time > latest.announced_at:
        _take_over(connection, latest, time, patterns)
    elif patterns == latest.patterns and time < latest.since and latest.until is None:
        _begin_earlier(connection, rows, time)


def _insert(connection: Connection, name: str, time: datetime, patterns: str | None) -> None:
    # one that left before we heard of it is kept too, or an older announcement would bring it back
    until = time if patterns is None else None
    connection.execute(
        departments.insert().values(name=name, since=time, patterns=patterns or "[]", until=until, announced_at=time)
    )


def _take_over(connection: Connection, latest: Any, time: datetime, patterns: str | None) -> None:
    unchanged = patterns == latest.patterns and latest.until is None
    until = latest.until if unchanged else latest.until or time
    announced_at = time if unchanged or patterns is None else latest.announced_at
    connection.execute(_of(latest).values(until=until, announced_at=announced_at))
    if patterns is not None and not unchanged:
        _insert(connection, latest.name, time, patterns)


def _begin_earlier(connection: Connection, rows: Any, time: datetime) -> None:
    """An older announcement of the same patterns has come late: they were in force earlier than we thought."""
    latest, before = rows[-1], rows[-2] if len(rows) > 1 else None
    if before is not None:
        if before.announced_at >= time:
            return
        if before.until == latest.since:
            connection.execute(_of(before).values(until=time))
    connection.execute(_of(latest).values(since=time))


def _of(row: Any) -> sa.Update:
    return sa.update(departments).where(departments.c.name == row.name, departments.c.since == row.since)
