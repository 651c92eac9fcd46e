"""What a person does in SAP by hand: sales orders removed, doubled and changed."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from sap_sandbox.admin_client import RefusedError
from sap_sandbox.testing import RunningSandbox

ITEMS = [
    {"Material": "TG11", "RequestedQuantity": "2"},
    {"Material": "TG12", "RequestedQuantity": "1"},
]


@pytest.fixture
def filled(start_sandbox: Any, log_on: Callable[..., Any], an_order: Any) -> Any:
    """A sandbox of the test's own with sales orders 1 to 3 for WEB-1, WEB-2 and OTHER[1]?."""
    sandbox = start_sandbox(internal_range={"first": 1, "last": 4})
    caller = log_on(sandbox)
    for reference in ("WEB-1", "WEB-2", "OTHER[1]?"):
        assert caller.create(an_order(reference, to_Item=ITEMS)).status_code == 201
    return sandbox, caller


def references(sandbox: RunningSandbox, pattern: str | None = None) -> list[str]:
    return [order["PurchaseOrderByCustomer"] for order in sandbox.orders(pattern)]


def test_orders_are_listed_with_their_items_and_without_texts(filled: Any, an_order: Any) -> None:
    sandbox, caller = filled
    caller.create(an_order("WEB-3", to_Text=[{"Language": "EN", "LongTextID": "TX01", "LongText": "Jane Doe"}]))
    (order,) = sandbox.orders("WEB-3")
    assert order["to_Item"] == [{"SalesOrderItem": "10", "Material": "TG11", "RequestedQuantity": "1"}]
    assert (order["SalesOrder"], order["TotalNetAmount"], order["TransactionCurrency"]) == ("4", "17.55", "USD")
    assert "Jane" not in str(sandbox.orders())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (None, ["WEB-1", "WEB-2", "OTHER[1]?"]),
        ("WEB-1", ["WEB-1"]),
        ("web-1", []),
        ("WEB-*", ["WEB-1", "WEB-2"]),
        ("WEB-?", []),
        ("OTHER[1]?", ["OTHER[1]?"]),
        ("*", ["WEB-1", "WEB-2", "OTHER[1]?"]),
    ],
)
def test_orders_are_found_by_reference(filled: Any, pattern: str | None, found: list[str]) -> None:
    assert references(filled[0], pattern) == found


def test_newest_orders_come_where_not_all_are_wanted(filled: Any) -> None:
    found = filled[0].admin.orders(limit=2)
    assert [order["SalesOrder"] for order in found["orders"]] == ["2", "3"]
    assert found["total"] == 3


def test_removed_order_is_gone_and_its_number_stays_used(filled: Any, an_order: Any) -> None:
    sandbox, caller = filled
    sandbox.remove("3")
    assert references(sandbox) == ["WEB-1", "WEB-2"]
    assert caller.get("/A_SalesOrder('3')").status_code == 404
    assert caller.get("/A_SalesOrderItem/$count").text == "4"
    assert caller.create(an_order()).json()["d"]["SalesOrder"] == "4"


def test_doubled_order_is_a_second_one_of_its_reference(filled: Any) -> None:
    sandbox, caller = filled
    assert sandbox.double("0000000001") == "4"
    assert sandbox.stats()["references"]["WEB-1"] == 2
    first, second = (caller.get(f"/A_SalesOrder('{n}')", expand="to_Item").json()["d"] for n in (1, 4))
    for order in (first, second):
        for item in order["to_Item"]["results"]:
            del item["__metadata"], item["SalesOrder"]
    assert first["to_Item"] == second["to_Item"]
    with pytest.raises(RefusedError, match="used up"):
        sandbox.double("1")


@pytest.mark.parametrize(
    ("changes", "quantities", "materials", "reference", "total"),
    [
        ({"quantity": "5"}, ["5", "1"], ["TG11", "TG12"], "WEB-1", "105.30"),
        ({"item": "20", "quantity": "2.5"}, ["2", "2.5"], ["TG11", "TG12"], "WEB-1", "78.98"),
        ({"item": "000020", "material": "tg13"}, ["2", "1"], ["TG11", "TG13"], "WEB-1", "52.65"),
        ({"reference": "WEB-9"}, ["2", "1"], ["TG11", "TG12"], "WEB-9", "52.65"),
    ],
)
def test_changed_order_has_what_was_changed_and_its_price(
    filled: Any, changes: dict[str, str], quantities: list[str], materials: list[str], reference: str, total: str
) -> None:
    sandbox, caller = filled
    before = caller.get("/A_SalesOrder('1')").json()["d"]["__metadata"]["etag"]

    sandbox.change("1", **changes)

    order = caller.get("/A_SalesOrder('1')", expand="to_Item").json()["d"]
    items = order["to_Item"]["results"]
    assert [item["RequestedQuantity"] for item in items] == quantities
    assert [item["Material"] for item in items] == materials
    assert (order["PurchaseOrderByCustomer"], order["TotalNetAmount"]) == (reference, total)
    assert order["__metadata"]["etag"] != before


@pytest.mark.parametrize(
    ("number", "changes", "reason"),
    [
        ("9", {"quantity": "1"}, "no sales order 9"),
        ("12345678901", {"quantity": "1"}, "no sales order 12345678901"),
        ("a/b", {"quantity": "1"}, "no sales order a/b"),
        ("1", {"item": "30", "quantity": "1"}, "has no item 30, but 10, 20"),
        ("1", {"quantity": "0"}, "quantity: .* above zero"),
        ("1", {"quantity": "-1"}, "quantity: .* above zero"),
        ("1", {"quantity": "two"}, "quantity: a decimal number"),
        ("1", {"material": ""}, "material: "),
        ("1", {"reference": "x" * 36}, "reference: at most 35"),
        ("1", {"colour": "red"}, "reference, material, quantity"),
        ("1", {}, "reference, material, quantity"),
    ],
)
def test_wrong_change_is_refused_with_the_reason(
    filled: Any, number: str, changes: dict[str, str], reason: str
) -> None:
    sandbox, _ = filled
    before = sandbox.orders()
    with pytest.raises(RefusedError, match=reason):
        sandbox.change(number, **changes)
    assert sandbox.orders() == before


@pytest.mark.parametrize("limit", ["0", "1001", "many", "-1"])
def test_wrong_limit_is_refused(sandbox: RunningSandbox, limit: str) -> None:
    answer = requests.get(f"{sandbox.origin}/_sim/orders", params={"limit": limit}, timeout=10)
    assert (answer.status_code, answer.json()["field"]) == (400, "limit")


def test_endless_reference_is_refused(sandbox: RunningSandbox) -> None:
    with pytest.raises(RefusedError, match="reference: at most 100"):
        sandbox.orders("*" * 101)
