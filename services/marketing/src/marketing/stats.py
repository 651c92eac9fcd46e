"""The numbers of a period: what `GET /stats` answers."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from marketing import product_totals
from marketing.business_time import days_between, hours_of
from marketing.counters import HOUR, PRODUCT, REGION, TOTAL
from marketing.links import read_links
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


_NOTHING = Numbers()
_PLANS = sa.text(
    "SELECT set_config('max_parallel_workers_per_gather', '0', true), "
    "set_config('plan_cache_mode', 'force_custom_plan', true)"
)
"""For PostgreSQL, at a million orders: to start workers takes longer than what they would do, and a plan that does not
know the period takes half as long again (a year by product: 100 ms, 65 with one that does)."""
_NO_HOUR = {"orders": 0, "items": 0, "customers": 0}


def read_stats(connection: Connection, period: Period, group_by: GroupBy, zone: ZoneInfo) -> dict[str, Any]:
    """The numbers of that period, ready for JSON. Days and hours without an order are there, with zeros."""
    if connection.dialect.name == "postgresql":
        connection.execute(_PLANS)
    days = _by_day(connection, period)
    total = Numbers(*map(sum, zip(*days.values(), strict=True))) if days else _NOTHING
    return {
        "timezone": zone.key,
        "from": period.first.isoformat(),
        "to": period.last.isoformat(),
        "group_by": group_by,
        "orders": total.orders,
        "items": total.items,
        "customers": read_links(connection, TOTAL, period).different("", total.customers, total.new_customers),
        "new_customers": total.new_customers,
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
            regions = _by_region(connection, period)
            return [{"region": region} | numbers._asdict() for region, numbers in sorted(regions.items())]
        case "product":
            return _by_product(connection, period)


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


def _by_region(connection: Connection, period: Period) -> dict[str, Numbers]:
    part = _in_period(REGION, period).subquery()
    sums = (_sum(part.c.orders), _sum(part.c.n_items), _sum(part.c.customers), _sum(part.c.new_customers))
    links = read_links(connection, REGION, period)
    return {
        key: Numbers(orders, items, links.different(key, customers, new_customers), new_customers)
        for key, orders, items, customers, new_customers in connection.execute(
            sa.select(part.c.key, *sums).group_by(part.c.key)
        )
    }


def _by_product(connection: Connection, period: Period) -> list[dict[str, Any]]:
    """Best-selling first."""
    links = read_links(connection, PRODUCT, period)
    products = [
        {
            "product": product,
            "orders": orders,
            "items": items,
            "customers": links.different(product, customers, new_customers),
            "new_customers": new_customers,
        }
        for product, orders, items, customers, new_customers in product_totals.read(connection, period)
    ]
    products.sort(key=lambda product: (-product["items"], product["product"]))
    return products


def _in_period(dimension: str, period: Period) -> sa.Select[Any]:
    table = counts.c
    return sa.select(
        table.day, table.key, table.orders, table["items"].label("n_items"), table.customers, table.new_customers
    ).where(table.dimension == dimension, table.day.between(period.first, period.last))


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.cast(sa.func.sum(column), sa.BigInteger)  # PostgreSQL's sum of bigint is a decimal
