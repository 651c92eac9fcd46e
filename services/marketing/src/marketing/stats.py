"""The numbers of a period: what `GET /stats` answers."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from marketing.business_time import days_between, hours_of, month_of, next_month
from marketing.counters import HOUR, PRODUCT, PRODUCT_MONTH, REGION, TOTAL
from marketing.period import GroupBy, Period
from marketing.tables import counts, revisits


class Numbers(NamedTuple):
    """What was counted of one group."""

    orders: int = 0
    items: int = 0
    customers: int = 0
    """Different ones in the group and the period."""
    new_customers: int = 0
    """Those of them who had never ordered in the group before."""


_NOTHING = Numbers()
_NO_HOUR = {"orders": 0, "items": 0, "customers": 0}


def read_stats(connection: Connection, period: Period, group_by: GroupBy, zone: ZoneInfo) -> dict[str, Any]:
    """The numbers of that period, ready for JSON. Days and hours without an order are there, with zeros."""
    days = _by_day(connection, period)
    returned = _returned(connection, TOTAL, period).get("", 0)
    new_customers = sum(numbers.new_customers for numbers in days.values())
    return {
        "timezone": zone.key,
        "from": period.first.isoformat(),
        "to": period.last.isoformat(),
        "group_by": group_by,
        "orders": sum(numbers.orders for numbers in days.values()),
        "items": sum(numbers.items for numbers in days.values()),
        "customers": new_customers + returned,
        "new_customers": new_customers,
        "groups": _groups(connection, period, group_by, zone, days),
    }


def _groups(
    connection: Connection, period: Period, group_by: GroupBy, zone: ZoneInfo, days: Mapping[date, Numbers]
) -> list[dict[str, Any]]:
    match group_by:
        case "day":
            return [
                {"day": day.isoformat()} | days.get(day, _NOTHING)._asdict()
                for day in days_between(period.first, period.last)
            ]
        case "hour":
            return _by_hour(connection, period, zone)
        case "region":
            regions = _by_key(connection, REGION, period, _in_period(REGION, period))
            return [{"region": region} | numbers._asdict() for region, numbers in sorted(regions.items())]
        case "product":
            products = _by_key(connection, PRODUCT, period, _products_in_period(period))
            best_first = sorted(products.items(), key=lambda entry: (-entry[1].items, int(entry[0])))
            return [{"product": int(product)} | numbers._asdict() for product, numbers in best_first]


def _by_day(connection: Connection, period: Period) -> dict[date, Numbers]:
    rows = _in_period(TOTAL, period)
    return {
        row.day: Numbers(row.orders, row.n_items, row.customers, row.new_customers) for row in connection.execute(rows)
    }


def _by_hour(connection: Connection, period: Period, zone: ZoneInfo) -> list[dict[str, Any]]:
    table = counts.c  # new customers of an hour would be everybody: an hour comes once
    counted = connection.execute(
        sa.select(table.key, table.orders, table["items"], table.customers).where(
            table.dimension == HOUR, table.day.between(period.first, period.last)
        )
    )
    by_start = {
        start: {"orders": orders, "items": items, "customers": customers} for start, orders, items, customers in counted
    }
    return [
        {"hour": hour.start} | by_start.get(hour.start, _NO_HOUR)
        for day in days_between(period.first, period.last)
        for hour in hours_of(day, zone)
    ]


def _by_key(
    connection: Connection, dimension: str, period: Period, rows: sa.Select[Any] | sa.CompoundSelect[Any]
) -> dict[str, Numbers]:
    part = rows.subquery()
    totals = sa.select(part.c.key, _sum(part.c.orders), _sum(part.c.n_items), _sum(part.c.new_customers)).group_by(
        part.c.key
    )
    returned = _returned(connection, dimension, period)
    return {
        key: Numbers(orders, items, new_customers + returned.get(key, 0), new_customers)
        for key, orders, items, new_customers in connection.execute(totals)
    }


def _returned(connection: Connection, dimension: str, period: Period) -> dict[str, int]:
    """Of each group, the customers of the period who had ordered in it before the period."""
    table = revisits.c
    statement = (
        sa.select(table.key, _sum(table.customers))
        .where(
            table.dimension == dimension,
            table.day.between(period.first, period.last),
            table.previous_day < period.first,
        )
        .group_by(table.key)
    )
    return dict(connection.execute(statement).all())


def _in_period(dimension: str, period: Period) -> sa.Select[Any]:
    table = counts.c
    return sa.select(
        table.day, table.key, table.orders, table["items"].label("n_items"), table.customers, table.new_customers
    ).where(table.dimension == dimension, table.day.between(period.first, period.last))


def _products_in_period(period: Period) -> sa.CompoundSelect[Any]:
    """Whole months by month, the days before and after them by day."""
    after = period.last + timedelta(1)
    months_begin = period.first if period.first.day == 1 else next_month(period.first)
    months_end = max(months_begin, month_of(after))  # not included
    parts = [
        _in_period(PRODUCT, Period(period.first, min(months_begin, after) - timedelta(1))),
        _in_period(PRODUCT_MONTH, Period(months_begin, months_end - timedelta(1))),
        _in_period(PRODUCT, Period(months_end, period.last)),
    ]
    return sa.union_all(*parts)


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(column), sa.BigInteger)  # PostgreSQL's sum of bigint is a decimal
