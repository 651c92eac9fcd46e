"""Reading: look-ups, single orders, navigations, query options, and what the service says about itself."""

from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sap_sandbox.schema import ENTITY_TYPES
from sap_sandbox.testing import RunningSandbox, running_sandbox

EDM = "{http://schemas.microsoft.com/ado/2008/09/edm}"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox for the three orders A, B and C that the first reader books: 1, 2 and 3."""
    with running_sandbox(tmp_path_factory.mktemp("filled")) as running:
        yield running


@pytest.fixture
def reader(filled: RunningSandbox, log_on: Callable[..., Any], an_order: Any) -> Any:
    caller = log_on(filled)
    if not caller.references():
        for reference, quantity in (("A", "1"), ("B", "3"), ("C", "2")):
            items = [{"Material": f"M{n}", "RequestedQuantity": quantity} for n in range(2)]
            texts = [{"Language": "EN", "LongTextID": "TX01", "LongText": f"text of {reference}"}]
            assert caller.create(an_order(reference, to_Item=items, to_Text=texts)).status_code == 201
    return caller


def test_look_up_of_the_bridge_finds_the_order_with_the_selected_fields(reader: Any) -> None:
    answer = reader.get(
        "/A_SalesOrder",
        filter="PurchaseOrderByCustomer eq 'B' and SoldToParty eq '17100001' and SalesOrganization eq '1710'",
        select="SalesOrder,PurchaseOrderByCustomer,CreationDate,OverallSDProcessStatus",
        orderby="SalesOrder",
        top="10",
        format="json",
    )

    assert answer.headers["dataserviceversion"] == "2.0"
    (found,) = answer.json()["d"]["results"]
    assert found.keys() == {
        "__metadata",
        "SalesOrder",
        "PurchaseOrderByCustomer",
        "CreationDate",
        "OverallSDProcessStatus",
    }
    assert (found["SalesOrder"], found["OverallSDProcessStatus"]) == ("2", "A")


@pytest.mark.parametrize("reference", ["O'Brien", "Größe/5 %&+", "a''b", "100% _x"])
def test_look_up_finds_awkward_references(sandbox: Any, caller: Any, an_order: Any, reference: str) -> None:
    assert caller.create(an_order(reference)).status_code == 201
    quoted = reference.replace("'", "''")
    assert caller.references(filter=f"PurchaseOrderByCustomer eq '{quoted}'") == [reference]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["A", "B", "C"]),
        ({"orderby": "SalesOrder desc"}, ["C", "B", "A"]),
        ({"orderby": "TotalNetAmount desc"}, ["B", "C", "A"]),
        ({"orderby": "SoldToParty asc, PurchaseOrderByCustomer desc"}, ["C", "B", "A"]),
        ({"top": "2"}, ["A", "B"]),
        ({"top": "0"}, []),
        ({"skip": "1"}, ["B", "C"]),
        ({"skip": "1", "top": "1", "orderby": "SalesOrder desc"}, ["B"]),
        ({"skip": "9"}, []),
    ],
)
def test_set_is_ordered_and_paged(reader: Any, query: dict[str, str], expected: list[str]) -> None:
    assert reader.references(**query) == expected


def test_inline_count_counts_what_the_filter_finds_not_the_page(reader: Any) -> None:
    document = reader.get("/A_SalesOrder", filter="PurchaseOrderByCustomer ne 'A'", inlinecount="allpages", top="1")
    assert document.json()["d"]["__count"] == "2"
    assert len(document.json()["d"]["results"]) == 1
    assert "__count" not in reader.get("/A_SalesOrder", inlinecount="none").json()["d"]


@pytest.mark.parametrize(
    ("path", "query", "count"),
    [
        ("/A_SalesOrder/$count", {}, "3"),
        ("/A_SalesOrder/$count", {"filter": "PurchaseOrderByCustomer gt 'A'"}, "2"),
        ("/A_SalesOrder('2')/to_Item/$count", {}, "2"),
        ("/A_SalesOrderItem/$count", {"filter": "Material eq 'M1'"}, "3"),
    ],
)
def test_count_is_plain_text(reader: Any, path: str, query: dict[str, str], count: str) -> None:
    answer = reader.get(path, **query)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == count


@pytest.mark.parametrize("key", ["'2'", "'0000000002'", "SalesOrder='2'", "%272%27"])
def test_order_is_read_by_its_key(reader: Any, key: str) -> None:
    answer = reader.get(f"/A_SalesOrder({key})")
    order = answer.json()["d"]
    assert order["PurchaseOrderByCustomer"] == "B"
    assert answer.headers["etag"] == order["__metadata"]["etag"]
    assert order["to_Item"] == {"__deferred": {"uri": f"{order['__metadata']['uri']}/to_Item"}}


def test_item_is_read_by_its_address(reader: Any) -> None:
    item = reader.get("/A_SalesOrder('2')/to_Item").json()["d"]["results"][1]
    path = item["__metadata"]["uri"].removeprefix(reader.url)
    assert path == "/A_SalesOrderItem(SalesOrder='2',SalesOrderItem='20')"
    assert reader.get(path).json()["d"] == item
    assert (item["Material"], item["RequestedQuantity"], item["NetAmount"]) == ("M1", "3", "52.65")


def test_expand_writes_navigations_out(reader: Any) -> None:
    orders = reader.get("/A_SalesOrder", expand="to_Item,to_Text", top="2").json()["d"]["results"]
    assert [len(order["to_Item"]["results"]) for order in orders] == [2, 2]
    assert [order["to_Text"]["results"][0]["LongText"] for order in orders] == ["text of A", "text of B"]
    assert "__deferred" in orders[0]["to_Partner"]
    single = reader.get("/A_SalesOrder('3')", expand="to_Partner").json()["d"]
    assert single["to_Partner"] == {"results": []}


@pytest.mark.parametrize(
    ("select", "header", "item"),
    [
        ("SalesOrder,to_Item/Material", {"SalesOrder", "to_Item"}, {"Material"}),
        ("to_Item", {"to_Item"}, None),
        ("SalesOrder", {"SalesOrder"}, None),
        ("to_Item/*", {"to_Item"}, None),
    ],
)
def test_select_chooses_properties_of_both_levels(
    reader: Any, select: str, header: set[str], item: set[str] | None
) -> None:
    order = reader.get("/A_SalesOrder('1')", select=select, expand="to_Item").json()["d"]
    assert order.keys() == header | {"__metadata"}
    if "to_Item" in order:
        names = set(order["to_Item"]["results"][0]) - {"__metadata"}
        assert names == (item or {prop.name for prop in ENTITY_TYPES["A_SalesOrderItem"].properties})


@pytest.mark.parametrize(
    ("path", "query", "option"),
    [
        ("/A_SalesOrder", {"filter": ""}, "$filter"),
        ("/A_SalesOrder", {"filter": "Colour eq 'red'"}, "$filter"),
        ("/A_SalesOrder", {"select": "Colour"}, "$select"),
        ("/A_SalesOrder", {"select": ""}, "$select"),
        ("/A_SalesOrder", {"select": "to_Item/Material"}, "$select"),
        ("/A_SalesOrder", {"orderby": "Colour"}, "$orderby"),
        ("/A_SalesOrder", {"orderby": "SalesOrder down"}, "$orderby"),
        ("/A_SalesOrder", {"expand": "to_PricingElement"}, "$expand"),
        ("/A_SalesOrder", {"top": "-1"}, "$top"),
        ("/A_SalesOrder", {"top": "ten"}, "$top"),
        ("/A_SalesOrder", {"skip": "1.5"}, "$skip"),
        ("/A_SalesOrder", {"skip": "99999999999999999999"}, "$skip"),
        ("/A_SalesOrder", {"inlinecount": "all"}, "$inlinecount"),
        ("/A_SalesOrder", {"format": "xml"}, "$format"),
        ("/A_SalesOrder", {"search": "x"}, "$search"),
        ("/A_SalesOrder", {"skiptoken": "x"}, "$skiptoken"),
        ("/A_SalesOrder?$top=1&$top=2", {}, "$top"),
        ("/A_SalesOrder('1')", {"filter": "SalesOrder eq '1'"}, "$filter"),
        ("/A_SalesOrder('1')", {"top": "1"}, "$top"),
        ("/A_SalesOrder/$count", {"top": "1"}, "$top"),
        ("/A_SalesOrder('1')/to_Item", {"filter": "SoldToParty eq '1'"}, "$filter"),
        ("/A_SalesOrder(1)", {}, "key"),
        ("/A_SalesOrder()", {}, "key"),
        ("/A_SalesOrder(Number='1')", {}, "key"),
        ("/A_SalesOrder('1','2')", {}, "key"),
        ("/A_SalesOrderItem(SalesOrder='1')", {}, "key"),
        ("/A_SalesOrderItem('1')", {}, "key"),
    ],
)
def test_unsupported_query_is_refused_not_ignored(reader: Any, path: str, query: dict[str, str], option: str) -> None:
    answer = reader.get(path, **query)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["innererror"]["errordetails"][0]["code"] == "SIM/008"
    assert f"option {option} " in error["message"]["value"]


def test_too_long_key_is_refused(reader: Any) -> None:
    answer = reader.get("/A_SalesOrder('12345678901')")
    assert answer.status_code == 400
    assert answer.json()["error"]["innererror"]["errordetails"][0]["code"] == "SIM/003"


@pytest.mark.parametrize(
    "path", ["/A_SalesOrder('99')", "/A_SalesOrder('99')/to_Item", "/A_SalesOrder('99')/to_Item/$count"]
)
def test_missing_order_is_not_found(reader: Any, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "CX_SADL_ENTITY_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/A_SalesOrders",
        "/a_salesorder",
        "/A_SalesOrder('1')/to_Colour",
        "/A_SalesOrder/to_Item",
        "/A_SalesOrder('1')/$count",
    ],
)
def test_unknown_resource_is_not_found(reader: Any, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["innererror"]["errordetails"][0]["code"] == "SIM/009"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "/A_SalesOrder('1')", 501),
        ("DELETE", "/A_SalesOrder('1')", 501),
        ("POST", "/A_SalesOrder('1')/to_Item", 501),
        ("POST", "/$batch", 501),
        ("OPTIONS", "/A_SalesOrder", 405),
        ("HEAD", "/A_SalesOrder", 405),
    ],
)
def test_what_is_not_simulated_says_so(reader: Any, method: str, path: str, status: int) -> None:
    answer = reader.request(method, path, None)
    assert answer.status_code == status


@pytest.mark.parametrize("accept", ["*/*", "application/atom+xml", "text/html, */*;q=0.8"])
def test_reader_that_does_not_ask_for_json_is_refused(reader: Any, accept: str) -> None:
    assert reader.get("/A_SalesOrder", {"Accept": accept}).status_code == 406
    assert reader.get("/A_SalesOrder", {"Accept": accept}, format="json").status_code == 200


def test_metadata_lists_every_property_with_its_length(reader: Any) -> None:
    answer = reader.get("/$metadata")

    assert answer.headers["content-type"] == "application/xml"
    document = ET.fromstring(answer.content)  # noqa: S314 - our own
    types = {element.get("Name"): element for element in document.iter(f"{EDM}EntityType")}
    assert types.keys() == {entity.type_name for entity in ENTITY_TYPES.values()}
    order = {element.get("Name"): element for element in types["A_SalesOrderType"].iter(f"{EDM}Property")}
    assert order.keys() == {prop.name for prop in ENTITY_TYPES["A_SalesOrder"].properties}
    assert order["PurchaseOrderByCustomer"].get("MaxLength") == "35"
    sap = "{http://www.sap.com/Protocols/SAPData}"
    assert order["ExternalDocumentID"].get(f"{sap}creatable") == "false"
    sets = {element.get("Name") for element in document.iter(f"{EDM}EntitySet")}
    assert sets == set(ENTITY_TYPES)


def test_service_document_is_json_or_atom(reader: Any) -> None:
    assert reader.get("/").json() == {"d": {"EntitySets": list(ENTITY_TYPES)}}
    atom = reader.get("/", {"Accept": "*/*"})
    assert atom.headers["content-type"] == "application/atomsvc+xml"
    assert b"A_SalesOrder" in atom.content
