"""Order numbers, hashes and the event of an order."""

import json

import pytest
from eventbus.contract import decode
from hypothesis import given
from hypothesis import strategies as st
from orders.model import OrderRequest, event_of, format_number, new_number, parse_number, place

NAMES = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=200).filter(
    lambda name: name == name.strip()
)
REQUESTS = st.builds(
    OrderRequest,
    NAMES,
    st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=20),
    st.from_regex(r"\A[a-z0-9-]{1,32}\Z"),
)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("7KQ2-M9XD-4TWE", "7KQ2M9XD4TWE"),
        ("7kq2m9xd4twe", "7KQ2M9XD4TWE"),
        ("-7K-Q2M9XD-4TWE-", "7KQ2M9XD4TWE"),
        ("ILOilo000000", "110110000000"),
        ("7KQ2-M9XD-4TW", None),
        ("7KQ2-M9XD-4TWEE", None),
        ("7KQ2-M9XD-4TWU", None),
        ("7KQ2 M9XD 4TWE", None),
        ("7KQ2-M9XD-4TWé", None),
        ("٧KQ2-M9XD-4TWE", None),
        ("", None),
        ("-" * 1000 + "7KQ2M9XD4TWE", None),
    ],
)
def test_number_written_by_a_person_is_understood_or_refused(written: str, number: str | None) -> None:
    assert parse_number(written) == number


def test_number_is_random_short_and_reads_back() -> None:
    numbers = {new_number() for _ in range(10_000)}
    assert len(numbers) == 10_000
    assert all(parse_number(format_number(number)) == number for number in numbers)
    assert {character for number in numbers for character in number} == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@given(REQUESTS, st.sampled_from([None, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]))
def test_event_written_by_hand_is_what_the_contract_writes(request: OrderRequest, traceparent: str | None) -> None:
    order = place(request, traceparent=traceparent)
    event = decode(order.body.encode(), "application/cloudevents+json", order.routing_key)
    assert order.event_id == event.id
    assert event.traceparent == traceparent
    assert event.encode() == order.body.encode()


@given(REQUESTS)
def test_event_of_a_stored_order_is_the_one_that_was_sent(request: OrderRequest) -> None:
    order = place(request)
    again = event_of(order.number, order.customer_name, json.loads(order.product_ids), order.region, order.created_at)
    assert again.encode() == order.body.encode()


def test_renumbered_order_differs_in_number_and_event_only() -> None:
    order = place(OrderRequest("Daníel", [2], "north"), "key")
    other = order.renumbered()
    assert other.number != order.number
    assert other.event_id != order.event_id
    assert format_number(other.number) in other.body
    assert format_number(order.number) not in other.body
    assert (other.created_at, other.request_hash) == (order.created_at, order.request_hash)


def test_hash_tells_orders_apart() -> None:
    orders = [
        OrderRequest("Daníel", [1, 2], "north"),
        OrderRequest("Daníel", [12], "north"),
        OrderRequest("Daníel", [2, 1], "north"),
        OrderRequest("Daniel", [1, 2], "north"),
        OrderRequest("Daníel", [1, 2], "south"),
    ]
    assert len({order.sha256() for order in orders}) == len(orders)
    assert orders[0].sha256() == OrderRequest("Daníel", [1, 2], "north").sha256()
