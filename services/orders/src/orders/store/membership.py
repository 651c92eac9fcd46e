"""Which departments there are: their announcements, kept so that the order in which they arrive does not matter."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from eventbus.contract import DepartmentJoined, DepartmentLeft, Event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from orders.status import Membership
from orders.store.plausible import plausible_time
from orders.store.tables import departments

LEFT = "[]"


def keep_announcement(connection: Connection, event: Event[DepartmentJoined | DepartmentLeft]) -> None:
    """Take in an announcement. A repeat changes nothing; what says the same as both its neighbours is not kept."""
    name, time = event.data.department, plausible_time(event.time)
    patterns = json.dumps(sorted(event.data.patterns)) if isinstance(event.data, DepartmentJoined) else LEFT
    insert = sqlite.insert(departments) if connection.dialect.name == "sqlite" else postgresql.insert(departments)
    row = insert.values(name=name, announced_at=time, patterns=patterns)
    # two replicas in one millisecond: the same one wins, whoever comes first
    connection.execute(
        row.on_conflict_do_update(
            index_elements=("name", "announced_at"),
            set_={"patterns": row.excluded.patterns},
            where=row.excluded.patterns > departments.c.patterns,
        )
    )
    _forget_what_neighbours_say(connection, name, time)


def _forget_what_neighbours_say(connection: Connection, name: str, time: datetime) -> None:
    """Keep the first and the last of a run of equal announcements: every restart makes one."""
    mine = departments.c.name == name
    at = departments.c.announced_at
    before = sa.select(departments).where(mine, at < time).order_by(at.desc()).limit(2)
    behind = sa.select(departments).where(mine, at >= time).order_by(at).limit(3)
    rows = [*reversed(connection.execute(before).all()), *connection.execute(behind).all()]
    for earlier, row, later in zip(rows, rows[1:], rows[2:], strict=False):
        if earlier.patterns == row.patterns == later.patterns:
            connection.execute(departments.delete().where(mine, at == row.announced_at))
            return


def memberships(rows: Iterable[Any]) -> list[Membership]:
    """When each department had which patterns, from the rows of `departments` by name and time."""
    return [membership for _, own in groupby(rows, key=lambda row: row.name) for membership in _periods(list(own))]


def _periods(rows: list[Any]) -> Iterator[Membership]:
    changes = [next(run) for _, run in groupby(rows, key=lambda row: row.patterns)]
    for row, later in zip(changes, [*changes[1:], None], strict=True):
        if row.patterns != LEFT:
            until = later.announced_at if later else None
            yield Membership(row.name, tuple(json.loads(row.patterns)), row.announced_at, until)
