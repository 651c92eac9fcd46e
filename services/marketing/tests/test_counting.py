"""Counting into the database: each order once, whatever comes twice, late, together or not at all."""

import itertools
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated
from eventbus.department import Permanent
from eventbus.settings import SettingsError
from eventbus.testing.builders import an_event
from marketing import book
from marketing.book import open_book
from marketing.tables import metadata

Keys = Callable[[OrderCreated], Sequence[Any]]
GROUPINGS: list[tuple[str, Keys]] = [  # the group of each item
    ("region", lambda order: [order.region] * len(order.product_ids)),
    ("product", lambda order: order.product_ids),
]


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def test_order_counts_by_day_hour_region_and_product(shop: Any) -> None:
    shop.count(an_event(product_ids=(2, 4, 2), region="north", created_at=at("2026-11-24T23:30:00Z")))

    assert shop.table("2026-11-01", "2026-11-30", "day") == {"2026-11-25": (1, 3, 1, 1)}
    assert shop.table("2026-11-01", "2026-11-30", "hour") == {"2026-11-25T00:00:00+01:00": (1, 3, 1)}
    assert shop.table("2026-11-01", "2026-11-30", "region") == {"north": (1, 3, 1, 1)}
    assert shop.table("2026-11-01", "2026-11-30", "product") == {2: (1, 2, 1, 1), 4: (1, 1, 1, 1)}


def test_late_order_is_in_every_period_of_products_that_holds_its_day(shop: Any) -> None:
    shop.count(an_event(product_ids=(3,), created_at=at("2025-01-07T12:00:00Z")))
    for day in ("2026-09-02", "2026-09-16", "2026-10-07", "2026-11-11"):  # a running total each
        shop.count(an_event(product_ids=(1,), created_at=at(f"{day}T12:00:00Z")))
    shop.count(
        an_event(product_ids=(1, 2), customer_name="Ana", created_at=at("2026-09-10T12:00:00Z")),
        an_event(product_ids=(4,), created_at=at("2026-11-12T12:00:00Z")),  # not late, in the same batch
    )

    assert shop.table("2026-09-07", "2026-09-13", "product") == {1: (1, 1, 1, 1), 2: (1, 1, 1, 1)}
    assert shop.table("2026-09-07", "2026-10-11", "product") == {1: (3, 3, 2, 1), 2: (1, 1, 1, 1)}
    assert shop.table("2026-08-31", "2026-11-11", "product") == {1: (5, 5, 2, 2), 2: (1, 1, 1, 1)}
    assert shop.table("2026-09-14", "2026-11-15", "product") == {1: (3, 3, 1, 0), 4: (1, 1, 1, 1)}
    whole = {1: (5, 5, 2, 2), 2: (1, 1, 1, 1), 3: (1, 1, 1, 1), 4: (1, 1, 1, 1)}
    assert shop.table("2025-01-01", "2026-11-15", "product") == whole


def test_totals_stand_beside_the_groups(shop: Any) -> None:
    shop.count(an_event(product_ids=(1, 2)), an_event(product_ids=(3,), customer_name="Ana"))

    stats = shop.stats("2026-11-24", "2026-11-24", "region")
    assert stats == {
        "timezone": "Europe/Berlin",
        "from": "2026-11-24",
        "to": "2026-11-24",
        "group_by": "region",
        "orders": 2,
        "items": 3,
        "customers": 2,
        "new_customers": 2,
        "groups": [{"region": "north", "orders": 2, "items": 3, "customers": 2, "new_customers": 2}],
    }


def test_events_delivered_again_change_no_number(shop: Any) -> None:
    events = [an_event(customer_name=f"Customer {number % 7}", region="south") for number in range(20)]
    assert shop.count(*events) == 20
    before = shop.everything()

    assert shop.count(*events) == 0
    assert shop.count(*reversed(events[:5])) == 0
    assert shop.everything() == before


def test_repeats_inside_a_batch_count_once(shop: Any) -> None:
    event, other = an_event(), an_event()

    assert shop.count(event, other, event, event) == 2
    assert shop.stats("2026-11-24", "2026-11-24")["orders"] == 2


def test_batch_that_fails_half_way_counts_nothing_and_then_everything(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [an_event() for _ in range(5)]
    before = shop.everything()
    with monkeypatch.context() as patch:
        patch.setattr(book, "_add_counts", _crash)
        with pytest.raises(RuntimeError, match="half-way"):
            shop.count(*events)
    assert shop.everything() == before

    assert shop.count(*events) == 5
    assert shop.stats("2026-11-24", "2026-11-24")["orders"] == 5


def test_order_at_the_end_of_the_calendar_is_refused_for_good_and_nothing_is_counted(shop: Any) -> None:
    impossible = an_event(created_at=datetime(9999, 12, 31, 23, 30, tzinfo=UTC))

    with pytest.raises(Permanent, match="created_at"):
        shop.count(an_event(), impossible)
    assert shop.stats("2026-11-24", "2026-11-24")["orders"] == 0


def test_largest_product_id_and_longest_region_are_counted(shop: Any) -> None:
    shop.count(an_event(product_ids=(2**53 - 1,), region="r" * 32))

    assert shop.table("2026-11-24", "2026-11-24", "product") == {2**53 - 1: (1, 1, 1, 1)}
    assert shop.table("2026-11-24", "2026-11-24", "region") == {"r" * 32: (1, 1, 1, 1)}


def test_batches_of_several_processes_at_once_lose_and_double_nothing(shop: Any) -> None:
    events = [
        an_event(
            customer_name=f"Customer {number % 9}",
            region=("north", "south")[number % 2],
            created_at=at(f"2026-11-{1 + number % 20:02d}T12:00:00Z"),
        )
        for number in range(200)
    ]
    counted: list[int] = []

    def consume(seed: int) -> None:
        mine = random.Random(seed).sample(events, len(events))
        for batch in range(0, len(mine), 25):
            counted.append(shop.count(*mine[batch : batch + 25]))

    workers = [threading.Thread(target=consume, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)

    assert sum(counted) == 200
    for group_by, keys in GROUPINGS:
        period = ("2026-11-01", "2026-11-30")
        assert shop.table(*period, group_by) == _plainly_counted(events, *period, keys)


# customers


def test_customers_of_a_period_are_different_ones_and_new_ones_are_told_apart(shop: Any) -> None:
    for day, name in [(1, "Ana"), (1, "Ana"), (2, "Ben"), (3, "Ana"), (5, "Ana"), (5, "Cleo")]:
        shop.count(an_event(customer_name=name, created_at=at(f"2026-11-{day:02d}T12:00:00Z")))

    def customers(first: int, last: int) -> tuple[int, int]:
        stats = shop.stats(f"2026-11-{first:02d}", f"2026-11-{last:02d}")
        return stats["customers"], stats["new_customers"]

    assert customers(1, 5) == (3, 3)
    assert customers(2, 4) == (2, 1)
    assert customers(3, 5) == (2, 1)
    assert customers(4, 4) == (0, 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Daníel", "DANÍEL", True),
        ("Daníel", "Dani\u0301el", True),
        ("Ana  Sol", "Ana Sol", True),
        ("Straße", "STRASSE", True),
        ("Daníel", "Daniel", False),
        ("王伟", "王維", False),
    ],
)
def test_spellings_of_one_name_are_one_customer(shop: Any, one: str, other: str, same: bool) -> None:
    shop.count(an_event(customer_name=one), an_event(customer_name=other))

    assert shop.stats("2026-11-24", "2026-11-24")["customers"] == (1 if same else 2)


def test_customers_counted_in_any_order_of_arrival_equal_a_plain_count(shop: Any) -> None:
    events = _a_year_of_orders(random.Random(20261124), orders=400)
    for batch in range(0, len(events), 37):
        shop.count(*events[batch : batch + 37])

    for first, last in [(1, 365), (40, 41), (100, 250), (17, 199), (300, 365), (1, 1)]:
        period = (_day_of_year(first), _day_of_year(last))
        for group_by, keys in GROUPINGS:
            assert shop.table(*period, group_by) == _plainly_counted(events, *period, keys)
        totals = shop.stats(*period)
        expected = _plainly_counted(events, *period, lambda order: [""] * len(order.product_ids))[""]
        assert (totals["orders"], totals["items"], totals["customers"], totals["new_customers"]) == expected


def test_no_name_is_in_the_database(shop: Any) -> None:
    shop.count(an_event(customer_name="Daníel Unverwechselbar"))

    def texts(connection: Any) -> str:
        return " ".join(
            str(value)
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table))
            for value in row
        )

    assert "unverwechselbar" not in shop.run(texts).casefold()


# one database, one way to count


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (("Europe/Berlin", None), ("Asia/Kolkata", None), "timezone: expected Europe/Berlin.*got: Asia/Kolkata"),
        (("Europe/Berlin", "k" * 32), ("Europe/Berlin", "l" * 32), "customer_key: expected the key.*got: another"),
        (("Europe/Berlin", "k" * 32), ("Europe/Berlin", None), "customer_key: expected the key.*got: none"),
        (("Europe/Berlin", None), ("Europe/Berlin", "k" * 32), "customer_key: expected the key.*got: another"),
    ],
)
def test_database_refuses_to_count_in_another_way_than_before(
    shop: Any, first: tuple[str, str | None], then: tuple[str, str | None], message: str
) -> None:
    shop.run(lambda connection: open_book(connection, *first))
    shop.run(lambda connection: open_book(connection, *first))

    with pytest.raises(SettingsError, match=message):
        shop.run(lambda connection: open_book(connection, *then))


def _crash(*_: object) -> None:
    raise RuntimeError("half-way")


def _day_of_year(number: int) -> str:
    return datetime.strptime(f"2026-{number}", "%Y-%j").replace(tzinfo=UTC).date().isoformat()


def _a_year_of_orders(chance: random.Random, orders: int) -> list[Event[OrderCreated]]:
    return [
        an_event(
            customer_name=f"Customer {chance.randrange(60)}",
            region=chance.choice(("north", "south")),
            product_ids=tuple(chance.choices((1, 2, 3, 4), k=chance.randint(1, 3))),
            created_at=at(f"{_day_of_year(chance.randint(1, 365))}T12:00:00Z"),
        )
        for _ in range(orders)
    ]


def _plainly_counted(
    events: list[Event[OrderCreated]], first: str, last: str, keys: Keys
) -> dict[Any, tuple[int, int, int, int]]:
    lines = [
        (key, event.data.created_at.date().isoformat(), event.data.customer_name, event.id)
        for event in events
        for key in keys(event.data)
    ]
    counted = {}
    for key, group in itertools.groupby(sorted(lines), lambda line: line[0]):
        of_key = list(group)
        inside = [line for line in of_key if first <= line[1] <= last]
        customers = {customer for _, _, customer, _ in inside}
        before = {customer for _, day, customer, _ in of_key if day < first}
        if inside:
            orders = len({event_id for *_, event_id in inside})
            counted[key] = (orders, len(inside), len(customers), len(customers - before))
    return counted
