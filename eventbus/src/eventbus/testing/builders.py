"""Events with sensible defaults: a test states only what it is about."""

import itertools
from datetime import UTC, datetime
from typing import Any

from eventbus.contract import (
    DepartmentJoined,
    Event,
    OrderCreated,
    OrderProgressed,
    announcement,
    order_created,
    order_progressed,
)

A_MOMENT = datetime(2026, 11, 24, 7, 19, 46, 123000, tzinfo=UTC)
"""When everything that a builder makes happens, unless the test says otherwise."""

_numbers = itertools.count(1)


def an_order_number() -> str:
    """An order number that no other call in this process gives: `TEST-0000-0001`, `TEST-0000-0002`, …"""
    digits = f"{next(_numbers):08d}"
    return f"TEST-{digits[:4]}-{digits[4:]}"


def an_order(**fields: Any) -> OrderCreated:
    """An accepted order, of a number of its own: `an_order(region="north", product_ids=(2, 4, 42))`."""
    defaults: dict[str, Any] = {
        "order_number": an_order_number(),
        "customer_name": "Daníel",
        "product_ids": (2, 4, 42),
        "region": "north",
        "created_at": A_MOMENT,
    }
    return OrderCreated.model_validate(_known(OrderCreated, defaults | fields))


def an_event(order: OrderCreated | None = None, **fields: Any) -> Event[OrderCreated]:
    """The `order.created` of that order, or of `an_order(**fields)`."""
    assert not (order and fields), "give an order or its fields, not both"
    return order_created(order or an_order(**fields))


def a_result(**fields: Any) -> Event[OrderProgressed]:
    """What a department reports: `a_result(order_number="TEST-0000-0001", department="printer", state="waiting")`.

    `time` is the event's. Without a `cause_id` it answers the order's `order.created`.
    """
    time: datetime = fields.pop("time", A_MOMENT)
    defaults: dict[str, Any] = {"order_number": an_order_number(), "department": "printer", "state": "done"}
    progress = defaults | fields
    if "cause_id" not in progress:
        progress["cause_id"] = an_event(order_number=progress["order_number"]).id
    return order_progressed(OrderProgressed.model_validate(_known(OrderProgressed, progress)), time)


def an_announcement(**fields: Any) -> Event[DepartmentJoined]:
    """A department's announcement at its start. `time` is the event's."""
    time: datetime = fields.pop("time", A_MOMENT)
    defaults: dict[str, Any] = {"department": "printer", "patterns": ("order.created.*",), "version": "0.1.0"}
    return announcement(DepartmentJoined.model_validate(_known(DepartmentJoined, defaults | fields)), time)


def _known(model: type[Any], fields: dict[str, Any]) -> dict[str, Any]:
    # the models ignore what they do not know, as readers must; in a test that would hide a typing error
    if unknown := fields.keys() - model.model_fields.keys():
        raise TypeError(f"{model.__name__} has no {', '.join(sorted(unknown))}")
    return fields
