"""Idempotency-Key: one key, one order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

ORDER = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "main"}


@pytest.mark.parametrize(
    ("situation", "again"),
    [
        ("same body", ORDER),
        ("other order of fields", {"region": "main", "product_ids": [2, 4, 42], "customer_name": "Daníel"}),
        ("alias", {"customer_name": "Daníel", "products_ids": [2, 4, 42], "region": "main"}),
        ("region left out", {"customer_name": "Daníel", "product_ids": [2, 4, 42]}),
        ("name to be trimmed", {**ORDER, "customer_name": " Daníel "}),
    ],
)
def test_same_key_and_order_gives_the_same_answer(
    gateway: Any, rows: Callable[..., Any], situation: str, again: dict[str, Any]
) -> None:
    first = gateway.post(ORDER, key="k-1")
    second = gateway.post(again, key="k-1")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]
    assert rows(gateway.database_url, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)") == [(1, 1)]


def test_same_key_with_another_order_is_refused(gateway: Any, rows: Callable[..., Any]) -> None:
    first = gateway.post(ORDER, key="k-1")
    for other in ({**ORDER, "product_ids": [2]}, {**ORDER, "region": "south"}, {**ORDER, "customer_name": "D"}):
        refused = gateway.post(other, key="k-1")
        assert refused.status_code == 422
        assert refused.json()["type"] == "urn:order-bus:problem:idempotency-key-reused"
    assert gateway.post(ORDER, key="k-1").json() == first.json()
    assert rows(gateway.database_url, "SELECT count(*) FROM outbox") == [(1,)]


def test_refused_body_does_not_use_up_its_key(gateway: Any) -> None:
    assert gateway.post({**ORDER, "product_ids": []}, key="k-1").status_code == 422
    assert gateway.post(ORDER, key="k-1").status_code == 201


def test_keys_that_differ_in_case_are_two_orders(gateway: Any) -> None:
    assert gateway.place(order=ORDER, key="Key") != gateway.place(order=ORDER, key="key")


def test_100_requests_at_once_with_one_key_create_one_order(
    gateway: Any, post_many: Callable[..., Any], rows: Callable[..., Any]
) -> None:
    answers = post_many(gateway, [(ORDER, "k-1")] * 100)
    assert sorted(status for status, _ in answers) == [200] * 99 + [201]
    assert len({body["order_number"] for _, body in answers}) == 1
    assert rows(gateway.database_url, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)") == [(1, 1)]


def test_two_orders_at_once_with_one_key_create_one_of_them(gateway: Any, post_many: Callable[..., Any]) -> None:
    other = {**ORDER, "product_ids": [7]}
    answers = post_many(gateway, [(ORDER, "k-1"), (other, "k-1")] * 20)
    stored = next(body for status, body in answers if status == 201)
    for (status, _), order in zip(answers, [ORDER, other] * 20, strict=True):
        assert status in ((200, 201) if order["product_ids"] == stored["product_ids"] else (422,))


def test_two_gateways_with_the_same_keys_create_one_order_each(
    start_gateway: Callable[..., Any], gateway: Any, post_many: Callable[..., Any], rows: Callable[..., Any]
) -> None:
    other = start_gateway(gateway.database_url).wait_for_database()
    requests = [(ORDER, f"k-{index % 50}") for index in range(150)]
    halves = ((gateway, requests), (other, requests[::-1]))
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(post_many, *zip(*halves, strict=True)))
    numbers: dict[str, set[str]] = {}
    for (_, sent), got in zip(halves, answers, strict=True):
        for (_, key), (status, body) in zip(sent, got, strict=True):
            assert status in (200, 201)
            numbers.setdefault(key, set()).add(body["order_number"])
    assert all(len(found) == 1 for found in numbers.values())
    assert rows(gateway.database_url, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)") == [
        (50, 50)
    ]
