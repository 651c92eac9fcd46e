"""However orders arrive, the numbers are those of a naive recount of all orders."""

from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from eventbus.contract import Event, OrderCreated
from eventbus.testing.builders import an_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marketing.business_time import days_between
from marketing.tables import metadata

# where days have 23 and 25 hours, where clocks go by half an hour, and where a year ends
TURNS = {
    "Europe/Berlin": ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-12-31T23:00:00Z"),
    "America/New_York": ("2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2027-01-01T05:00:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z", "2026-12-31T13:00:00Z"),
    "Asia/Kathmandu": ("2026-02-28T18:15:00Z", "2026-12-31T18:15:00Z"),
}
AROUND = st.one_of(
    st.integers(-4 * 60, 4 * 60).map(lambda minutes: timedelta(minutes=minutes)),
    st.integers(-400, 400).map(lambda hours: timedelta(hours=hours)),
    st.integers(-300, 30).map(lambda days: timedelta(days=days)),
)


class Arrival(NamedTuple):
    """Orders of a shop, and the batches in which their events arrive."""

    zone: ZoneInfo
    orders: list[OrderCreated]
    batches: list[list[Event[OrderCreated]]]
    periods: list[tuple[date, date]]


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    zone = draw(st.sampled_from(sorted(TURNS)))
    moments = draw(st.lists(st.tuples(st.sampled_from(TURNS[zone]), AROUND), min_size=1, max_size=25))
    chance = draw(st.randoms(use_true_random=False))
    events = [
        an_event(
            customer_name=f"Customer {chance.randrange(4)}",
            region=chance.choice(("north", "south")),
            product_ids=tuple(chance.choices((1, 2, 42), k=chance.randint(1, 4))),
            created_at=datetime.fromisoformat(turn) + after,
        )
        for turn, after in moments
    ]
    delivered = events + chance.choices(events, k=chance.randint(0, len(events)))
    chance.shuffle(delivered)
    days = sorted({event.data.created_at.astimezone(ZoneInfo(zone)).date() for event in events})
    ends = [sorted((_near(days, chance), _near(days, chance))) for _ in range(2)]
    periods = [(days[0], days[-1]), *((first, last) for first, last in ends)]
    return Arrival(ZoneInfo(zone), [event.data for event in events], list(_split(delivered, chance)), periods)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals())
def test_any_arrival_gives_the_numbers_of_a_naive_recount(shop_in: Callable[[str], Any], arrival: Arrival) -> None:
    shop = shop_in(arrival.zone.key)
    shop.run(lambda connection: [connection.execute(table.delete()) for table in metadata.sorted_tables])
    for batch in arrival.batches:
        shop.count(*batch)

    for first, last in arrival.periods:
        period = (first.isoformat(), last.isoformat())
        of_regions, of_products = shop.stats(*period, "region"), shop.stats(*period, "product")
        assert _numbers(of_regions) == _recount(arrival, first, last, lambda order: [order.region])
        assert _numbers(of_products) == _recount(arrival, first, last, lambda order: set(order.product_ids))
        by_day = {
            day.isoformat(): numbers
            for day in days_between(first, last)
            for numbers in _recount(arrival, day, day, _all).values()
        }
        assert _numbers(shop.stats(*period, "day")) == by_day
        for step, start_of in (("week", _monday), ("month", _first_of_month)):
            assert _numbers(shop.stats(*period, step)) == _by_step(arrival, first, last, start_of), step
        total = _recount(arrival, first, last, _all).get("", (0, 0, 0, 0))
        for stats in (of_regions, of_products):
            assert (stats["orders"], stats["items"], stats["customers"], stats["new_customers"]) == total
    first, last = arrival.periods[0]
    assert _numbers(hours := shop.stats(first.isoformat(), last.isoformat(), "hour")) == _by_hour(arrival, hours)


def _numbers(stats: dict[str, Any]) -> dict[Any, tuple[int, ...]]:
    return {key: tuple(numbers) for key, *numbers in map(dict.values, stats["groups"]) if numbers[0]}


def _recount(
    arrival: Arrival, first: date, last: date, keys: Callable[[OrderCreated], Iterable[Any]]
) -> dict[Any, tuple[int, int, int, int]]:
    """Of each key: orders, items, customers, and those of them who had not ordered before the first day."""
    orders: defaultdict[Any, list[OrderCreated]] = defaultdict(list)
    before: defaultdict[Any, set[str]] = defaultdict(set)
    for order in arrival.orders:
        day = order.created_at.astimezone(arrival.zone).date()
        for key in keys(order):
            if day < first:
                before[key].add(order.customer_name)
            elif day <= last:
                orders[key].append(order)
    return {key: (*_plain(of_key, key), len(_names(of_key) - before[key])) for key, of_key in orders.items()}


def _by_step(
    arrival: Arrival, first: date, last: date, start_of: Callable[[date], date]
) -> dict[str, tuple[int, int, int, int]]:
    """Of each week or month, what of it lies in the period."""
    days: defaultdict[date, list[date]] = defaultdict(list)
    for day in days_between(first, last):
        days[start_of(day)].append(day)
    return {
        start.isoformat(): numbers
        for start, of_step in days.items()
        for numbers in _recount(arrival, of_step[0], of_step[-1], _all).values()
    }


def _monday(day: date) -> date:
    return date.fromisocalendar(*day.isocalendar()[:2], 1)


def _first_of_month(day: date) -> date:
    return date(day.year, day.month, 1)


def _by_hour(arrival: Arrival, stats: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """An order is of the hour that began last: hours follow each other without a gap."""
    hours = [group["hour"] for group in stats["groups"]]
    starts = [datetime.fromisoformat(hour) for hour in hours]
    orders: defaultdict[str, list[OrderCreated]] = defaultdict(list)
    for order in arrival.orders:
        orders[hours[bisect(starts, order.created_at) - 1]].append(order)
    return {hour: _plain(of_hour, None) for hour, of_hour in orders.items()}


def _plain(orders: list[OrderCreated], key: Any) -> tuple[int, int, int]:
    items = sum(order.product_ids.count(key) if isinstance(key, int) else len(order.product_ids) for order in orders)
    return len(orders), items, len(_names(orders))


def _names(orders: list[OrderCreated]) -> set[str]:
    return {order.customer_name for order in orders}


def _all(_order: OrderCreated) -> list[str]:
    return [""]


def _near(days: list[date], chance: Random) -> date:
    return chance.choice(days) + timedelta(chance.randint(-8, 8))


def _split(events: list[Event[OrderCreated]], chance: Random) -> Iterable[list[Event[OrderCreated]]]:
    while events:
        size = chance.randint(1, 12)
        yield events[:size]
        events = events[size:]
