"""A department that nobody was told of stands on the order's status."""

from typing import Any

import requests
from eventbus.testing import wait_until

ORDER = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "north"}


def placed(orders_url: str) -> str:
    """The URL of a new order."""
    answer = requests.post(orders_url, json=ORDER, timeout=10)
    answer.raise_for_status()
    return f"{orders_url}/{answer.json()['order_number']}"


def loyalty_on(order_url: str) -> dict[str, Any]:
    departments: dict[str, dict[str, Any]] = requests.get(order_url, timeout=10).json()["departments"]
    return departments.get("loyalty", {})


def test_department_is_done_on_the_order(orders_url: str, loyalty: Any) -> None:
    order = placed(orders_url)
    wait_until(lambda: loyalty_on(order).get("state") == "done", 20)
    assert loyalty_on(order)["reference"] == "3 points"
    assert requests.get(order, timeout=10).json()["status"] == "done"


def test_department_that_joined_is_pending_while_it_is_away(orders_url: str, loyalty: Any) -> None:
    wait_until(lambda: loyalty_on(placed(orders_url)), 20, "the announcement is known")
    loyalty.kill()
    order = placed(orders_url)
    wait_until(lambda: loyalty_on(order).get("state") == "pending")
    loyalty.start()
    wait_until(lambda: loyalty_on(order).get("state") == "done", 20)


def test_department_that_fails_is_waiting_on_the_order_and_done_later(orders_url: str, loyalty: Any) -> None:
    loyalty.points.mkdir()  # its file cannot be written
    order = placed(orders_url)
    wait_until(lambda: loyalty_on(order).get("state") == "waiting", 20)
    loyalty.points.rmdir()
    wait_until(lambda: loyalty_on(order).get("state") == "done", 20)
