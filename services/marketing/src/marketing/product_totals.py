"""Running totals of every product at the beginnings of weeks, so that a year of products is a difference of two.

A total says what was ordered before its day. There is one for each week in which an order was counted. Whichever there
are, the numbers are right: the days between a total and a period's end are read one by one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from marketing.business_time import week_of
from marketing.counters import PRODUCT, Amounts, Group
from marketing.period import Period
from marketing.tables import counts, product_totals

_MEASURES = ("orders", "items", "customers", "new_customers")

_TOTALS_AFTER = (
    sa.text("""
WITH RECURSIVE after(before) AS (
    SELECT min(before) FROM product_totals WHERE before > :day
    UNION ALL
    SELECT (SELECT min(before) FROM product_totals t WHERE t.before > after.before) FROM after
     WHERE after.before IS NOT NULL
)
SELECT before FROM after WHERE before IS NOT NULL
""")
    .bindparams(sa.bindparam("day", type_=sa.Date))
    .columns(before=sa.Date)
)
"""Seeks in the key: `DISTINCT` would read every product's row."""


def keep(connection: Connection, added: Mapping[Group, Amounts]) -> None:
    """Bring the totals in line with what was just added to `counts`."""
    of_products = {group: amount for group, amount in added.items() if group.dimension == PRODUCT}
    if not of_products:
        return
    days = {group.day for group in of_products}
    later = list(connection.scalars(_TOTALS_AFTER, {"day": min(days)}))
    if later:  # orders that came late
        _add(connection, of_products, later)
    for week in sorted({week_of(day) for day in days}):
        exists = sa.exists().where(product_totals.c.before == week).select()
        if not connection.scalar(exists):
            connection.execute(_new_total(connection, week))


def _add(connection: Connection, added: Mapping[Group, Amounts], later: list[date]) -> None:
    sums: defaultdict[tuple[date, str], Amounts] = defaultdict(Amounts)
    for group, amount in added.items():
        for before in later:
            if group.day < before:
                total = sums[before, group.key]
                total.orders += amount.orders
                total.items += amount.items
                total.customers += amount.customers
                total.new_customers += amount.new_customers
    if not sums:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(product_totals)
    columns = [product_totals.c[name] for name in _MEASURES]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(product_totals.primary_key),
            set_={column.name: column + statement.excluded[column.name] for column in columns},
        ),
        [
            {"before": before, "key": key, **{name: getattr(total, name) for name in _MEASURES}}
            for (before, key), total in sorted(sums.items())
        ],
    )


def _new_total(connection: Connection, week: date) -> sa.Insert:
    earlier = connection.scalar(sa.select(sa.func.max(product_totals.c.before)).where(product_totals.c.before < week))
    parts = [_days(1, earlier, week)] if earlier is None else [_total(1, earlier), _days(1, earlier, week)]
    part = sa.union_all(*parts).subquery()
    summed = sa.select(sa.literal(week, sa.Date), part.c.key, *_sums(part)).group_by(part.c.key)
    return sa.insert(product_totals).from_select(["before", "key", *_MEASURES], summed)


def read(connection: Connection, period: Period) -> Iterable[Any]:
    """Each product that was ordered in the period: its orders, items, sum of the days' customers, new customers."""
    after = period.last + timedelta(1)
    begin, end = _nearest(connection, period.first), _nearest(connection, after)
    if begin is None or end is None or begin == end:
        parts = [_days(1, period.first, after)]
    else:
        parts = [_total(1, end), _between(end, after), _total(-1, begin), _between(period.first, begin)]
    part = sa.union_all(*parts).subquery()
    sums = _sums(part)
    product = sa.cast(part.c.key, sa.BigInteger)  # numbers are sorted sooner than texts
    statement = sa.select(product, *sums).group_by(product).having(sums[0] > 0)
    return connection.execute(statement)


def _nearest(connection: Connection, day: date) -> date | None:
    """The day of the total that is nearest to it, in either direction."""
    before = product_totals.c.before
    earlier = sa.select(sa.func.max(before)).where(before <= day).scalar_subquery()
    later = sa.select(sa.func.min(before)).where(before >= day).scalar_subquery()
    found = [near for near in connection.execute(sa.select(earlier, later)).one() if near is not None]
    return min(found, key=lambda near: abs(near - day), default=None)


def _total(sign: int, before: date) -> sa.Select[Any]:
    table = product_totals.c
    return sa.select(table.key, *((sign * table[name]).label(name) for name in _MEASURES)).where(table.before == before)


def _between(one: date, other: date) -> sa.Select[Any]:
    """What was ordered from one day to the other, which is not included; from the other to the one: with minus."""
    return _days(1, one, other) if one <= other else _days(-1, other, one)


def _days(sign: int, first: date | None, after: date) -> sa.Select[Any]:
    table = counts.c
    rows = sa.select(table.key, *((sign * table[name]).label(name) for name in _MEASURES))
    rows = rows.where(table.dimension == PRODUCT, table.day < after)
    return rows if first is None else rows.where(table.day >= first)


def _sums(part: sa.Subquery) -> list[sa.ColumnElement[int]]:
    # PostgreSQL's sum of bigint is a decimal
    return [sa.cast(sa.func.sum(part.c[name]), sa.BigInteger) for name in _MEASURES]
