"""Creating a sales order: what is booked, and what is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests


def today() -> str:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return f"/Date({int(midnight.timestamp() * 1000)})/"


def error_of(answer: requests.Response, status: int = 400) -> tuple[str, str]:
    """Code and text of the first message, after checking the body's whole shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    inner = error["innererror"]
    details = inner["errordetails"]
    assert error["message"] == {"lang": "en", "value": details[0]["message"]}
    assert inner["application"]["service_id"] == "API_SALES_ORDER_SRV"
    assert len(inner["transactionid"]) == 32
    assert details[-1]["code"] == "/IWBEP/CX_MGW_BUSI_EXCEPTION"
    for entry in details:
        assert isinstance(entry["message"], str)
        assert entry["severity"] == "error"
        assert entry.keys() == {"ContentID", "code", "message", "propertyref", "severity", "transition", "target"}
    return details[0]["code"], details[0]["message"]


def test_order_is_booked_and_answered_in_full(caller: Any) -> None:
    earliest = today()
    answer = caller.create(
        {
            "SalesOrderType": "OR",
            "SalesOrganization": "1710",
            "DistributionChannel": "10",
            "OrganizationDivision": "00",
            "SoldToParty": "17100001",
            "PurchaseOrderByCustomer": "WEB-7KQ2-M9XD-4TWE",
            "CustomerPurchaseOrderDate": "/Date(1730419200000)/",
            "to_Item": [
                {"SalesOrderItem": "10", "Material": "TG11", "RequestedQuantity": "2"},
                {"SalesOrderItem": "20", "Material": "TG12", "RequestedQuantity": "1.5"},
            ],
            "to_Text": [{"Language": "EN", "LongTextID": "TX01", "LongText": "Daníel 王小明"}],
        }
    )

    assert answer.status_code == 201
    assert answer.headers["dataserviceversion"] == "2.0"
    assert "sap-message" not in answer.headers
    order = answer.json()["d"]
    address = f"{caller.url}/A_SalesOrder('{order['SalesOrder']}')"
    assert answer.headers["location"] == address
    metadata = order["__metadata"]
    assert metadata["id"] == metadata["uri"] == address
    assert metadata["type"] == "API_SALES_ORDER_SRV.A_SalesOrderType"
    assert metadata["etag"].startswith("W/\"datetimeoffset'")
    assert order["CustomerPurchaseOrderDate"] == "/Date(1730419200000)/"
    assert order["CreationDate"] == order["SalesOrderDate"]
    assert order["CreationDate"] in (earliest, today())
    assert order["LastChangeDateTime"].endswith("+0000)/")
    assert order["TotalNetAmount"] == "61.43"  # 35.10 and 26.325, rounded as in commerce
    assert order["PurchaseOrderByShipToParty"] == ""
    assert order["CompleteDeliveryIsDefined"] is False
    assert order["to_Partner"] == {"__deferred": {"uri": f"{address}/to_Partner"}}
    items = order["to_Item"]["results"]
    assert [(i["SalesOrderItem"], i["Material"], i["RequestedQuantity"]) for i in items] == [
        ("10", "TG11", "2"),
        ("20", "TG12", "1.5"),
    ]
    assert order["to_Text"]["results"][0]["LongText"] == "Daníel 王小明"
    assert caller.get(f"/A_SalesOrder('{order['SalesOrder']}')").json()["d"]["__metadata"] == metadata


def test_same_reference_twice_books_two_orders(sandbox: Any, caller: Any, an_order: Any) -> None:
    numbers = [int(caller.create(an_order("TWICE")).json()["d"]["SalesOrder"]) for _ in range(2)]

    assert numbers[0] < numbers[1]
    assert requests.get(sandbox.stats_url, timeout=10).json()["references"]["TWICE"] == 2


def test_items_may_come_as_results(caller: Any, an_order: Any) -> None:
    items = {"results": [{"Material": "TG11", "RequestedQuantity": "1"}]}
    assert caller.create(an_order(to_Item=items)).status_code == 201


def test_items_without_number_get_the_next_ten(caller: Any, an_order: Any) -> None:
    numbers = ["", "25", "", "000040", ""]
    items = [{"SalesOrderItem": number, "Material": "TG11", "RequestedQuantity": "1"} for number in numbers]

    booked = caller.create(an_order(to_Item=items)).json()["d"]["to_Item"]["results"]

    assert [item["SalesOrderItem"] for item in booked] == ["10", "25", "30", "40", "50"]


def test_partners_are_booked(caller: Any, an_order: Any) -> None:
    order = caller.create(an_order(to_Partner=[{"PartnerFunction": "SH", "Customer": "0017100002"}])).json()["d"]
    assert order["to_Partner"]["results"][0]["Customer"] == "17100002"


def test_codes_become_upper_case_and_the_reference_does_not(caller: Any, an_order: Any) -> None:
    order = caller.create(an_order("web-é'x  ", SalesOrderType="or", SoldToParty="0017100001")).json()["d"]

    assert order["SalesOrderType"] == "OR"
    assert order["SoldToParty"] == "17100001"
    assert order["PurchaseOrderByCustomer"] == "web-é'x"


def test_null_is_the_initial_value(caller: Any, an_order: Any) -> None:
    order = caller.create(an_order(CustomerPurchaseOrderDate=None, SDDocumentReason=None)).json()["d"]
    assert order["CustomerPurchaseOrderDate"] is None
    assert order["SDDocumentReason"] == ""


def test_incomplete_material_is_booked_with_a_warning(caller: Any, an_order: Any) -> None:
    items = [{"Material": "INCOMPLETE-1", "RequestedQuantity": "1"}] * 2

    answer = caller.create(an_order(to_Item=items))

    assert answer.status_code == 201
    message = json.loads(answer.headers["sap-message"])
    assert message["code"] == "SIM/202"
    assert message["severity"] == "warning"
    assert [detail["code"] for detail in message["details"]] == ["SIM/202"]


def test_read_only_property_is_ignored_with_a_warning(caller: Any, an_order: Any) -> None:
    answer = caller.create(an_order(ExternalDocumentID="WEB-1"))

    assert answer.status_code == 201
    assert answer.json()["d"]["ExternalDocumentID"] == ""
    assert json.loads(answer.headers["sap-message"])["code"] == "SIM/201"


def item(**changes: Any) -> list[dict[str, Any]]:
    return [{"Material": "TG11", "RequestedQuantity": "1"} | changes]


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"Colour": "red"}, "SIM/002", "Colour"),
        ({"to_Item": item(Colour="red")}, "SIM/002", "Colour"),
        ({"salesordertype": "OR"}, "SIM/002", "salesordertype"),
        ({"PurchaseOrderByCustomer": "x" * 36}, "SIM/003", "PurchaseOrderByCustomer"),
        ({"PurchaseOrderByCustomer": "\U0001f600" * 18}, "SIM/003", "at most 35 characters are expected, got 36"),
        ({"PurchaseOrderByCustomer": 123}, "SIM/003", "PurchaseOrderByCustomer"),
        ({"PurchaseOrderByCustomer": "a\0b"}, "SIM/003", "PurchaseOrderByCustomer"),
        ({"PurchaseOrderByCustomer": "\ud800"}, "SIM/003", "PurchaseOrderByCustomer"),
        ({"CompleteDeliveryIsDefined": "true"}, "SIM/003", "CompleteDeliveryIsDefined"),
        ({"CustomerPurchaseOrderDate": "2024-11-01"}, "SIM/003", "/Date(milliseconds)/"),
        ({"CustomerPurchaseOrderDate": 1730419200000}, "SIM/003", "CustomerPurchaseOrderDate"),
        ({"CustomerPurchaseOrderDate": "/Date(1730419200000+0000)/"}, "SIM/003", "/Date(milliseconds)/"),
        ({"CustomerPurchaseOrderDate": "/Date(\u0663)/"}, "SIM/003", "/Date(milliseconds)/"),
        ({"CustomerPurchaseOrderDate": ""}, "SIM/003", "/Date(milliseconds)/"),
        ({"CustomerPurchaseOrderDate": "/Date(999999999999999)/"}, "SIM/003", "9999"),
        ({"to_Item": ...}, "SIM/004", "deep insert"),
        ({"to_Item": []}, "SIM/004", "deep insert"),
        ({"to_Item": None}, "SIM/004", "deep insert"),
        ({"to_Item": "TG11"}, "SIM/003", "to_Item"),
        ({"to_Item": ["TG11"]}, "SIM/003", "to_Item"),
        ({"to_Item": item(Material=11)}, "SIM/003", "Material"),
        ({"to_Item": item(Material="")}, "SIM/005", "Material"),
        ({"to_Item": item(Material="x" * 41)}, "SIM/003", "Material"),
        ({"to_Item": item(RequestedQuantity=2)}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="two")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="1e3")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity=" 1")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="\u0663")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="1.2345")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="1234567890123")}, "SIM/003", "RequestedQuantity"),
        ({"to_Item": item(RequestedQuantity="0")}, "SIM/006", "greater than zero"),
        ({"to_Item": item(RequestedQuantity="-1")}, "SIM/006", "greater than zero"),
        ({"to_Item": item(RequestedQuantity=None)}, "SIM/006", "greater than zero"),
        ({"to_Item": item(SalesOrderItem="A")}, "SIM/003", "SalesOrderItem"),
        ({"to_Item": item(SalesOrderItem="0")}, "SIM/003", "SalesOrderItem"),
        ({"to_Item": item(SalesOrderItem="999999") + item()}, "SIM/003", "to_Item"),
        ({"to_Item": item(SalesOrderItem="10") * 2}, "SIM/007", "000010"),
        ({"SoldToParty": ...}, "SIM/005", "SoldToParty"),
        ({"SalesOrganization": ""}, "SIM/005", "SalesOrganization"),
        ({"to_Text": [{"Language": "EN", "LongText": "x"}]}, "SIM/005", "LongTextID"),
        ({"to_Text": [{"Language": "ENG", "LongTextID": "TX01"}]}, "SIM/003", "at most 2"),
        ({"to_Text": [{"Language": "EN", "LongTextID": "TX01", "Colour": "red"}]}, "SIM/002", "A_SalesOrderText"),
        ({"to_Partner": [{"PartnerFunction": "SH"}]}, "SIM/005", "Customer"),
        ({"to_PricingElement": []}, "SIM/301", "to_PricingElement"),
    ],
)
def test_wrong_input_is_refused(caller: Any, an_order: Any, changes: dict[str, Any], code: str, named: str) -> None:
    found, text = error_of(caller.create(an_order("REFUSED", **changes)))
    assert found == code
    assert named in text
    assert caller.references(filter="PurchaseOrderByCustomer eq 'REFUSED'") == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"[]", "one JSON object"),
        (b'{"a":1}{"a":1}', "Extra data"),
        (b'{"SalesOrderType":"OR","SalesOrderType":"OR"}', "twice"),
        (b'{"to_Item":NaN}', "NaN"),
        (b'{"PurchaseOrderByCustomer":"\xe9"}', "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a":' + b"[" * 100_000, "nested"),
    ],
)
def test_malformed_body_is_refused(caller: Any, body: bytes, reason: str) -> None:
    code, text = error_of(caller.send(body))
    assert code == "SIM/001"
    assert reason in text


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/xml"}, 415, "SIM/011"),
        ({"Accept": "*/*"}, 406, "SIM/012"),
        ({"Accept": "application/atom+xml"}, 406, "SIM/012"),
    ],
)
def test_other_formats_are_refused(caller: Any, an_order: Any, headers: dict[str, str], status: int, code: str) -> None:
    assert error_of(caller.create(an_order(), headers), status)[0] == code


def test_too_large_body_is_refused(start_sandbox: Any, log_on: Callable[..., Any]) -> None:
    caller = log_on(start_sandbox(body_bytes_max=1024))
    assert caller.send(b"x" * 1025).status_code == 413


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"SalesOrderType": "ZZ"}, ["SIM/101"]),
        ({"SalesOrganization": "9999"}, ["SIM/102"]),
        ({"DistributionChannel": "20"}, ["SIM/103"]),
        ({"SoldToParty": "1"}, ["SIM/104"]),
        ({"SoldToParty": "17100099"}, ["SIM/105"]),
        ({"to_Item": item(Material="BLOCKED-1")}, ["SIM/107"]),
        ({"to_Item": item(Material="blocked") * 2}, ["SIM/107"]),
        ({"to_Text": [{"Language": "EN", "LongTextID": "0001", "LongText": "x"}]}, ["SIM/108"]),
        ({"SalesOrder": "5000000"}, ["SIM/110"]),
        ({"SalesOrderType": "ZZ", "SoldToParty": "1"}, ["SIM/101", "SIM/104"]),
    ],
)
def test_unknown_and_blocked_master_data_is_refused(
    caller: Any, an_order: Any, changes: dict[str, Any], codes: list[str]
) -> None:
    answer = caller.create(an_order("BLOCKED", **changes))

    error_of(answer)
    details = answer.json()["error"]["innererror"]["errordetails"]
    assert [detail["code"] for detail in details[:-1]] == codes
    assert caller.references(filter="PurchaseOrderByCustomer eq 'BLOCKED'") == []


def test_only_known_materials_are_sold_where_they_are_listed(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    caller = log_on(start_sandbox(materials=["TG11"]))
    assert caller.create(an_order()).status_code == 201
    assert error_of(caller.create(an_order(to_Item=item(Material="TG12"))))[0] == "SIM/106"


def test_number_chosen_by_the_client_is_taken_once(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    caller = log_on(start_sandbox(external_range={"first": 5_000_000, "last": 5_000_009}))

    first = caller.create(an_order(SalesOrder="0005000000"))
    second = caller.create(an_order(SalesOrder="5000000"))
    outside = caller.create(an_order(SalesOrder="5000010"))
    internal = caller.create(an_order())

    assert first.json()["d"]["SalesOrder"] == "5000000"
    assert error_of(second) == ("SIM/112", "Sales order 5000000 already exists")
    assert error_of(outside)[0] == "SIM/111"
    assert internal.json()["d"]["SalesOrder"] == "1"


def test_used_up_number_range_is_refused_and_not_reused(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    caller = log_on(start_sandbox(internal_range={"first": 4711, "last": 4712}))

    numbers = [caller.create(an_order()).json()["d"]["SalesOrder"] for _ in range(2)]

    assert numbers == ["4711", "4712"]
    assert [error_of(caller.create(an_order()))[0] for _ in range(2)] == ["SIM/113", "SIM/113"]
