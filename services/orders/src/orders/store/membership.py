"""Which departments there are: their announcements, kept so that the order in which they arrive does not matter."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

import sqlalchemy as sa
from eventbus.contract import DepartmentJoined, DepartmentLeft, Event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from orders.status import Membership
from orders.store.plausible import plausible_time
from orders.store.tables import departments

LEFT = "[]"
REPEATS_KEPT = timedelta(days=1)
"""As long as an announcement may be retried before it is parked."""
REPEATS_APART = timedelta(minutes=1)


def keep_announcement(connection: Connection, event: Event[DepartmentJoined | DepartmentLeft]) -> None:
    """Take in an announcement. A repeat changes nothing, and is not kept for long."""
    name, time = event.data.department, plausible_time(event.time)
    patterns, remembers_since = LEFT, None
    if isinstance(event.data, DepartmentJoined):
        patterns = json.dumps(sorted(event.data.patterns))
        if event.data.remembers_since is not None:
            remembers_since = min(event.data.remembers_since, time)
    insert = sqlite.insert(departments) if connection.dialect.name == "sqlite" else postgresql.insert(departments)
    row = insert.values(name=name, announced_at=time, patterns=patterns, remembers_since=remembers_since)
    # two replicas in one millisecond: the same one wins, whoever comes first
    connection.execute(
        row.on_conflict_do_update(
            index_elements=("name", "announced_at"),
            set_={"patterns": row.excluded.patterns, "remembers_since": row.excluded.remembers_since},
            where=row.excluded.patterns > departments.c.patterns,
        )
    )
    _forget_repeats(connection, name)


def _forget_repeats(connection: Connection, name: str) -> None:
    """Keep the first and the last of a run of equal announcements, for every restart makes one; those between them for
    a day, one a minute: an announcement that comes late may part the run, and then they say when its rest began."""
    at = departments.c.announced_at
    rows = connection.execute(sa.select(departments).where(departments.c.name == name).order_by(at)).all()
    kept_since = datetime.now(UTC) - REPEATS_KEPT
    kept, forgotten = list(rows[:1]), []
    for row, later in pairwise(rows[1:]):
        is_repeat = kept[-1].patterns == row.patterns == later.patterns
        is_close = later.announced_at - kept[-1].announced_at <= REPEATS_APART
        if is_repeat and (is_close or row.announced_at < kept_since):
            forgotten.append(row.announced_at)
        else:
            kept.append(row)
    if forgotten:
        connection.execute(departments.delete().where(departments.c.name == name, at.in_(forgotten)))


def memberships(rows: Iterable[Any]) -> list[Membership]:
    """When each department had which patterns, from the rows of `departments` by name and time."""
    return [membership for _, own in groupby(rows, key=lambda row: row.name) for membership in _periods(list(own))]


def _periods(rows: list[Any]) -> Iterator[Membership]:
    changes = [next(run) for _, run in groupby(rows, key=lambda row: row.patterns)]
    for row, later in zip(changes, [*changes[1:], None], strict=True):
        if row.patterns != LEFT:
            until = later.announced_at if later else None
            yield Membership(row.name, tuple(json.loads(row.patterns)), row.announced_at, until)
