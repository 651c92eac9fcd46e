"""What an order adds to which counter. Nothing here touches the database."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from eventbus.contract import OrderCreated

from marketing.business_time import hour_of
from marketing.customers import pseudonym

TOTAL, HOUR, REGION, PRODUCT = "total", "hour", "region", "product"


class Group(NamedTuple):
    """One row of `counts`."""

    dimension: str
    day: date
    key: str


class Visit(NamedTuple):
    """One row of `visits`: a customer ordered in that group on that day."""

    dimension: str
    key: str
    customer: int
    day: date


class Link(NamedTuple):
    """A customer's day in a group and the last one before it; None: it is the first."""

    day: date
    previous_day: date | None


@dataclass(slots=True)
class Amounts:
    """What is added to one row of `counts`."""

    orders: int = 0
    items: int = 0
    customers: int = 0
    new_customers: int = 0


@dataclass(slots=True)
class Tally:
    """What a batch of orders adds, one entry a row."""

    amounts: defaultdict[Group, Amounts] = field(default_factory=lambda: defaultdict(Amounts))
    visits: set[Visit] = field(default_factory=set)


def tally(orders: Iterable[OrderCreated], zone: ZoneInfo, customer_key: bytes) -> Tally:
    """What these orders add, each counted. An order counts on the day when it was placed, whenever it arrives."""
    total = Tally()
    for order in orders:
        hour = hour_of(order.created_at, zone)
        customer = pseudonym(order.customer_name, customer_key)
        items = len(order.product_ids)
        for dimension, key in ((TOTAL, ""), (HOUR, hour.start), (REGION, order.region)):
            _add(total, Group(dimension, hour.day, key), items)
            total.visits.add(Visit(dimension, key, customer, hour.day))
        for product_id, quantity in Counter(order.product_ids).items():
            key = str(product_id)
            _add(total, Group(PRODUCT, hour.day, key), quantity)
            total.visits.add(Visit(PRODUCT, key, customer, hour.day))
    return total


def changed_links(known_days: Collection[date], new_days: Collection[date]) -> list[tuple[Link, int]]:
    """How a customer's chain of days changes by new ones: 1 for a link that comes, -1 for one that goes.

    `known_days` need only hold, of each new day, the nearest known day before and after it. Orders may arrive in any
    order: a late one between two days cuts their link.
    """
    if len(new_days) == 1:  # most orders come in the order of time
        (day,) = new_days
        previous_day = max(known_days, default=None)
        if previous_day is None or previous_day < day:
            return [(Link(day, previous_day), 1)]
    before, after = _links(known_days), _links({*known_days, *new_days})
    return [(link, 1) for link in after - before] + [(link, -1) for link in before - after]


def _links(days: Collection[date]) -> set[Link]:
    # two days that are no neighbours in truth are linked before and after: that changes nothing
    chain = (None, *sorted(days))
    return {Link(day, previous) for previous, day in pairwise(chain) if day is not None}


def _add(total: Tally, group: Group, items: int) -> None:
    amounts = total.amounts[group]
    amounts.orders += 1
    amounts.items += items
