"""The numbers of a period: what `GET /stats` answers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from marketing import product_totals
from marketing.business_time import days_between, hours_of, month_of, week_of
from marketing.counters import HOUR, PRODUCT, REGION, TOTAL
from marketing.links import read_links, read_links_of_steps
from marketing.period import GroupBy, Period
from marketing.tables import counts


class Numbers(NamedTuple):
    """What was counted of one group."""

    orders: int = 0
    items: int = 0
    customers: int = 0
    """Different ones in the group and the period."""
    new_customers: int = 0
    """Those of them who had never ordered in the group before."""

    @classmethod
    def sum(cls, parts: Iterable["Numbers"]) -> Self:
        """Of all parts. A customer who is in two of them is in it twice."""
        return cls(*map(sum, zip(cls(), *parts, strict=True)))


_NOTHING = Numbers()
_PLANS = sa.text(
    "SELECT set_config('max_parallel_workers_per_gather', '0', true), "
    "set_config('plan_cache_mode', 'force_custom_plan', true)"
)
"""For PostgreSQL, at a million orders: to start workers takes longer than what they would do, and a plan that does not
know the period takes half as long again (a year by product: 100 ms, 65 with one that does)."""
_NO_HOUR = {"orders": 0, "items": 0, "customers": 0}


def read_stats(connection: Connection, period: Period, group_by: GroupBy, zone: ZoneInfo) -> dict[str, Any]:
    """The numbers of that period, ready for JSON. Days, hours, weeks and months without an order are there, too."""
    reader = Reader(connection, period, zone)
    return {
        "timezone": zone.key,
        "from": period.first.isoformat(),
        "to": period.last.isoformat(),
        "group_by": group_by,
        **reader.total()._asdict(),
        "groups": reader.groups(group_by),
    }


class Reader:
    """Reads one period's numbers, in any number of groupings: what they share is read once."""

    def __init__(self, connection: Connection, period: Period, zone: ZoneInfo) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(_PLANS)
        self._connection = connection
        self._period = period
        self._zone = zone
        self._by_day = _read_days(connection, period)

    def total(self) -> Numbers:
        """Of the whole period."""
        summed = Numbers.sum(self._by_day.values())
        links = read_links(self._connection, TOTAL, self._period)
        return summed._replace(customers=links.different("", summed.customers, summed.new_customers))

    def groups(self, group_by: GroupBy) -> list[dict[str, Any]]:
        """One object a group, named after the grouping. Regions by name, products best-selling first."""
        match group_by:
            case "day":
                days = days_between(self._period.first, self._period.last)
                return [{"day": day.isoformat()} | self._by_day.get(day, _NOTHING)._asdict() for day in days]
            case "week":
                return self._steps("week", week_of)
            case "month":
                return self._steps("month", month_of)
            case "hour":
                return self._hours()
            case "region":
                return self._regions()
            case "product":
                return self._products()

    def _steps(self, step: str, start_of: Callable[[date], date]) -> list[dict[str, Any]]:
        links = read_links_of_steps(self._connection, step, self._period)
        days: defaultdict[date, list[Numbers]] = defaultdict(list)
        for day in days_between(self._period.first, self._period.last):
            numbers = self._by_day.get(day, _NOTHING)
            first_time = numbers.customers - links.get(day, 0)  # in this week or month
            days[start_of(day)].append(numbers._replace(customers=first_time))
        return [{step: start.isoformat()} | Numbers.sum(of_step)._asdict() for start, of_step in days.items()]

    def _hours(self) -> list[dict[str, Any]]:
        table = counts.c  # new customers of an hour would be everybody: an hour comes once
        counted = self._connection.execute(
            sa.select(table.key, table.orders, table["items"], table.customers).where(
                table.dimension == HOUR, table.day.between(self._period.first, self._period.last)
            )
        )
        by_start = {
            start: {"orders": orders, "items": items, "customers": customers}
            for start, orders, items, customers in counted
        }
        return [
            {"hour": hour.start} | by_start.get(hour.start, _NO_HOUR)
            for day in days_between(self._period.first, self._period.last)
            for hour in hours_of(day, self._zone)
        ]

    def _regions(self) -> list[dict[str, Any]]:
        part = _in_period(REGION, self._period).subquery()
        sums = (_sum(part.c.orders), _sum(part.c.n_items), _sum(part.c.customers), _sum(part.c.new_customers))
        statement = sa.select(part.c.key, *sums).group_by(part.c.key)
        links = read_links(self._connection, REGION, self._period)
        rows = sorted(self._connection.execute(statement).all())
        return [
            {
                "region": region,
                "orders": orders,
                "items": items,
                "customers": links.different(region, customers, new_customers),
                "new_customers": new_customers,
            }
            for region, orders, items, customers, new_customers in rows
        ]

    def _products(self) -> list[dict[str, Any]]:
        links = read_links(self._connection, PRODUCT, self._period)
        products = [
            {
                "product": product,
                "orders": orders,
                "items": items,
                "customers": links.different(product, customers, new_customers),
                "new_customers": new_customers,
            }
            for product, orders, items, customers, new_customers in product_totals.read(self._connection, self._period)
        ]
        products.sort(key=lambda product: (-product["items"], product["product"]))
        return products


def _read_days(connection: Connection, period: Period) -> Mapping[date, Numbers]:
    rows = _in_period(TOTAL, period)
    return {
        row.day: Numbers(row.orders, row.n_items, row.customers, row.new_customers) for row in connection.execute(rows)
    }


def _in_period(dimension: str, period: Period) -> sa.Select[Any]:
    table = counts.c
    return sa.select(
        table.day, table.key, table.orders, table["items"].label("n_items"), table.customers, table.new_customers
    ).where(table.dimension == dimension, table.day.between(period.first, period.last))


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(column), sa.BigInteger)  # PostgreSQL's sum of bigint is a decimal
