"""The orders of a span of time, and who was on the bus when. Reads alone, in short statements.

No statement spans the whole of it: a snapshot that is kept for as long as a rebuild takes would keep PostgreSQL from
clearing away what the relay deletes, and SQLite's log from being reset.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated

from eventbus import database
from orders.model import event_of
from orders.rebuild.errors import AwayError
from orders.status import Membership
from orders.store.membership import memberships
from orders.store.tables import departments, orders, progress

ROWS_MAX = 5000
"""Rows read at a time."""
SLICE_MAX = timedelta(days=1)
SLICE_MIN = timedelta(milliseconds=1)
"""The resolution of `created_at`."""
STATEMENT_TIMEOUT_S = 600
"""Counting a span without an index that fits reads the whole table."""


class Extent(NamedTuple):
    """How many orders a span has, and when the first of them was placed."""

    orders: int
    first: datetime | None


class Member(NamedTuple):
    """A department that is on the bus: its patterns, and how far back it says that it can tell a repeat."""

    name: str
    patterns: tuple[str, ...]
    remembers_since: datetime | None
    periods: list[Membership]
    """All of its history, by time; the last one is in force."""


class History:
    """Reads the orders database. Every method raises AwayError while that is away."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {}
        if database.parse_url(url).get_backend_name() != "sqlite":
            timeout = f"-c statement_timeout={STATEMENT_TIMEOUT_S}s"
            options = {"isolation_level": "AUTOCOMMIT", "pool_pre_ping": True, "connect_args": {"options": timeout}}
        self._engine = database.create_engine(url, writes=False, application_name="orders rebuild", **options)

    def extent(self, since: datetime, until: datetime) -> Extent:
        """Of the orders placed from `since` on and before `until`."""
        query = sa.select(sa.func.count(), sa.func.min(orders.c.created_at)).where(_placed(since, until))
        with self._connected() as connection:
            count, first = connection.execute(query).one()
        return Extent(count, first)

    def pages(self, since: datetime, until: datetime) -> Iterator[list[Event[OrderCreated]]]:
        """The `order.created` events of those orders, as they were when they were placed, oldest first."""
        since, until = _millisecond(since), _millisecond(until)
        length = timedelta(minutes=1)
        while since < until:
            end = min(since + length, until)
            rows = self._rows(since, end)
            if len(rows) > ROWS_MAX and end - since > SLICE_MIN:
                length = max(SLICE_MIN, _millisecond_length((end - since) / 2))
                continue
            if rows:
                yield [
                    event_of(row.number, row.customer_name, json.loads(row.product_ids), row.region, row.created_at)
                    for row in rows
                ]
            if len(rows) < ROWS_MAX / 4:
                length = min(SLICE_MAX, length * 2)
            since = end

    def members(self) -> list[Member]:
        """The departments that have announced themselves and have not left since, by name."""
        with self._connected() as connection:
            rows = connection.execute(
                sa.select(departments).order_by(departments.c.name, departments.c.announced_at)
            ).all()
        last = {row.name: row for row in rows}
        periods: dict[str, list[Membership]] = {}
        for membership in memberships(rows):
            periods.setdefault(membership.name, []).append(membership)
        return [
            Member(name, own[-1].patterns, last[name].remembers_since, own)
            for name, own in sorted(periods.items())
            if own[-1].until is None
        ]

    def regions(self, since: datetime, until: datetime) -> dict[str, int]:
        """How many orders of each region were placed from `since` on and before `until`."""
        placed = sa.func.count().label("placed")
        query = sa.select(orders.c.region, placed).where(_placed(since, until)).group_by(orders.c.region)
        with self._connected() as connection:
            return {row.region: row.placed for row in connection.execute(query)}

    def reported(self, department: str, since: datetime, until: datetime) -> int:
        """On how many of the orders placed in that span the department had reported before its end."""
        query = (
            sa.select(sa.func.count(sa.distinct(orders.c.number)))
            .join(progress, progress.c.number == orders.c.number)
            .where(_placed(since, until), progress.c.department == department, progress.c.updated_at < until)
        )
        with self._connected() as connection:
            return connection.scalar(query) or 0

    def _rows(self, since: datetime, until: datetime) -> list[Any]:
        query = (
            sa.select(
                orders.c.number, orders.c.customer_name, orders.c.product_ids, orders.c.region, orders.c.created_at
            )
            .where(_placed(since, until))
            .order_by(orders.c.created_at, orders.c.number)
        )
        if until - since > SLICE_MIN:  # one more than wanted says that there are too many
            query = query.limit(ROWS_MAX + 1)
        with self._connected() as connection:
            return list(connection.execute(query))

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise AwayError(f"DATABASE_URL: the database does not answer: {type(error.orig).__name__}") from error


def _placed(since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    # whole milliseconds: SQLite compares text, and the gateway wrote no more digits
    return sa.and_(orders.c.created_at >= _millisecond(since), orders.c.created_at < _millisecond(until))


def _millisecond(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


def _millisecond_length(length: timedelta) -> timedelta:
    return length // SLICE_MIN * SLICE_MIN
