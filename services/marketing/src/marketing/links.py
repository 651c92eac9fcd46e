"""How many different customers a period had, from the links between each customer's days.

A customer is counted on each day: the different ones are the days' customers without the links inside the period. Or:
those who were new in it, with the links that lead into it from before. Whichever has fewer links to read is taken.
"""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from marketing.counters import PRODUCT, TOTAL
from marketing.period import Period
from marketing.tables import counts, revisits


class Links(NamedTuple):
    """Of each group (products by number), the links inside a period, or those that lead into it."""

    sums: Mapping[str | int, int]
    inside: bool

    def different(self, key: str | int, customers: int, new_customers: int) -> int:
        """Different customers of the group, from the sums of its days."""
        links = self.sums.get(key, 0)
        return customers - links if self.inside else new_customers + links


def read_links(connection: Connection, dimension: str, period: Period) -> Links:
    """The links of each group of that dimension."""
    table = revisits.c
    inside = _inside_is_less(period, *_counted_days(connection))
    # a plus keeps SQLite, which has no statistics, from the primary key: it would read all links of the period's days
    day = sa.literal_column("+revisits.day", sa.Date) if connection.dialect.name == "sqlite" else table.day
    ends = (
        (table.previous_day.between(period.first, period.last), day <= period.last)
        if inside
        else (table.previous_day < period.first, day.between(period.first, period.last))
    )
    links = sa.cast(sa.func.coalesce(sa.func.sum(table.customers), 0), sa.BigInteger)
    if dimension == TOTAL:  # has one key: a group would be sorted
        statement = sa.select(sa.literal(""), links)
    else:
        key = table.key if dimension != PRODUCT else sa.cast(table.key, sa.BigInteger)  # numbers are sorted sooner
        statement = sa.select(key, links).group_by(key)
    statement = statement.where(table.dimension == dimension, *ends)
    return Links(dict(connection.execute(statement).all()), inside)


def read_links_of_steps(connection: Connection, step: str, period: Period) -> Mapping[date, int]:
    """Of each day, the links that end on it and begin in the same week or month, and in the period."""
    links = revisits.c
    sqlite = connection.dialect.name == "sqlite"
    ends_here = (
        (links.dimension == TOTAL)
        & (links.day == counts.c.day)
        & (links.previous_day >= _start(step, counts.c.day, sqlite=sqlite))
        & (links.previous_day >= period.first)
    )
    # a seek a day: a join makes SQLite read all links of the period for each of its days
    inside = sa.select(sa.cast(sa.func.sum(links.customers), sa.BigInteger)).where(ends_here).scalar_subquery()
    statement = sa.select(counts.c.day, sa.func.coalesce(inside, 0)).where(
        counts.c.dimension == TOTAL, counts.c.day.between(period.first, period.last)
    )
    return dict(connection.execute(statement).all())


def _start(step: str, day: sa.ColumnElement[date], *, sqlite: bool) -> sa.ColumnElement[date]:
    """The first day of its week, or of its month."""
    if not sqlite:
        return sa.cast(sa.func.date_trunc(step, day), sa.Date)
    back = {"week": ("-6 days", "weekday 1"), "month": ("start of month",)}[step]  # "weekday 1": the next Monday
    return sa.func.date(day, *(sa.literal_column(f"'{change}'") for change in back), type_=sa.Date)


def _counted_days(connection: Connection) -> tuple[date | None, date | None]:
    table = counts.c
    days = sa.select(sa.func.min(table.day), sa.func.max(table.day)).where(table.dimension == TOTAL)
    first, last = connection.execute(days).one()
    return first, last


def _inside_is_less(period: Period, first: date | None, last: date | None) -> bool:
    """Whether fewer links begin in the period than before it, were there one from each day to each later one."""
    if first is None or last is None:
        return True
    before = max(0, (period.first - first).days)
    rest = max(0, (last - period.last).days)
    within = max(0, (last - first).days + 1 - before - rest)
    return within * (within / 2 + rest) < before * (before / 2 + within + rest)
