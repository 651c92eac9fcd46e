"""The numbers of a period, as a reader gets them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from eventbus.testing.builders import an_event


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


@pytest.mark.parametrize(
    ("day", "hours", "moment", "hour"),
    [
        ("2026-03-29", 23, "2026-03-29T01:15:00Z", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25", 25, "2026-10-25T01:15:00Z", "2026-10-25T02:00:00+01:00"),
        ("2026-11-24", 24, "2026-11-24T07:19:46Z", "2026-11-24T08:00:00+01:00"),
    ],
)
def test_day_on_which_clocks_change_lists_each_of_its_hours(
    shop: Any, day: str, hours: int, moment: str, hour: str
) -> None:
    shop.count(an_event(created_at=at(moment)))

    stats = shop.stats(day, day, "hour")
    assert len(stats["groups"]) == hours
    assert stats["orders"] == sum(group["orders"] for group in stats["groups"]) == 1
    assert [group["hour"] for group in stats["groups"] if group["orders"]] == [hour]


def test_hour_that_comes_twice_is_two_hours(shop: Any) -> None:
    shop.count(an_event(created_at=at("2026-10-25T00:30:00Z")), an_event(created_at=at("2026-10-25T01:30:00Z")))

    assert shop.table("2026-10-25", "2026-10-25", "hour") == {
        "2026-10-25T02:00:00+02:00": (1, 3, 1),
        "2026-10-25T02:00:00+01:00": (1, 3, 1),
    }
    assert shop.table("2026-10-25", "2026-10-25", "day") == {"2026-10-25": (2, 6, 1, 1)}


@pytest.mark.parametrize(
    ("timezone", "day"),
    [("Europe/Berlin", "2026-11-25"), ("America/New_York", "2026-11-24"), ("Asia/Kathmandu", "2026-11-25")],
)
def test_order_counts_on_the_day_of_the_business(shop_in: Callable[[str], Any], timezone: str, day: str) -> None:
    shop = shop_in(timezone)
    shop.count(an_event(created_at=at("2026-11-24T23:30:00Z")))

    assert list(shop.table("2026-11-20", "2026-11-30", "day")) == [day]
    assert shop.stats(day, day)["orders"] == 1


def test_days_without_orders_are_listed_with_zeros(shop: Any) -> None:
    shop.count(an_event(created_at=at("2026-11-24T12:00:00Z")))

    groups = shop.stats("2026-11-23", "2026-11-25")["groups"]
    assert [group["day"] for group in groups] == ["2026-11-23", "2026-11-24", "2026-11-25"]
    assert [group["orders"] for group in groups] == [0, 1, 0]


def test_empty_database_answers_zeros(shop: Any) -> None:
    for group_by in ("region", "product"):
        stats = shop.stats("2026-01-01", "2026-12-31", group_by)
        assert (stats["orders"], stats["items"], stats["customers"], stats["groups"]) == (0, 0, 0, [])


def test_first_and_last_day_are_included_and_their_neighbours_are_not(shop: Any) -> None:
    for day in range(1, 6):
        shop.count(an_event(created_at=at(f"2026-11-{day:02d}T12:00:00Z")))

    for group_by in ("day", "hour", "region", "product"):
        assert shop.stats("2026-11-02", "2026-11-04", group_by)["orders"] == 3
        assert sum(group["orders"] for group in shop.stats("2026-11-02", "2026-11-04", group_by)["groups"]) == (
            9 if group_by == "product" else 3  # each order has three products
        )


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-01-01", "2026-12-31"),
        ("2026-02-01", "2026-02-28"),
        ("2026-02-10", "2026-02-20"),
        ("2026-01-31", "2026-02-01"),
        ("2026-01-15", "2026-02-14"),
        ("2026-01-15", "2026-03-15"),
        ("2026-02-02", "2026-04-30"),
        ("2026-02-01", "2026-04-29"),
        ("2025-12-31", "2027-01-01"),
    ],
)
def test_products_of_whole_months_and_of_parts_add_up(shop: Any, first: str, last: str) -> None:
    days = [f"2026-{month:02d}-{day:02d}" for month in range(1, 13) for day in (1, 2, 14, 15, 20, 28)]
    days += ["2025-12-31", "2026-01-31", "2026-04-30", "2027-01-01"]
    shop.count(*(an_event(product_ids=(7,), created_at=at(f"{day}T12:00:00Z")) for day in days))

    assert shop.table(first, last, "product")[7][0] == sum(first <= day <= last for day in days)


def test_best_selling_product_comes_first(shop: Any) -> None:
    shop.count(an_event(product_ids=(10, 9, 9)), an_event(product_ids=(2, 10, 9)))

    assert list(shop.table("2026-11-24", "2026-11-24", "product")) == [9, 10, 2]
