"""What an order becomes in SAP, and what the tables of the mapping may say."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from eventbus.contract.order import PRODUCT_ID_MAX
from eventbus.settings import SettingsError, config_path, load
from eventbus.testing import an_order
from sap_bridge.mapping import Mapping, MappingError, edm_date
from sap_bridge.settings import SalesArea, SapBridgeSettings

NORTH = SalesArea(organization="1710", channel="10", division="00", sold_to="17100001")
OTHERS = SalesArea(organization="1720", channel="20", division="00", sold_to="17200009")

Settings = Callable[..., Any]


def test_order_becomes_a_deep_insert(settings: Settings) -> None:
    order = an_order(
        order_number="7KQ2-M9XD-4TWE",
        product_ids=(42, 2, 42, 42),
        region="north",
        created_at=datetime(2026, 11, 24, 23, 30, tzinfo=UTC),
    )

    sales_order = Mapping(settings(sales_areas={"north": NORTH})).sales_order(order)

    assert (sales_order.reference, sales_order.sold_to, sales_order.organization) == (
        "7KQ2-M9XD-4TWE",
        "17100001",
        "1710",
    )
    assert sales_order.document == {
        "SalesOrderType": "OR",
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "SoldToParty": "17100001",
        "PurchaseOrderByCustomer": "7KQ2-M9XD-4TWE",
        "CustomerPurchaseOrderDate": "/Date(1795564800000)/",  # the 25th in Berlin
        "to_Item": [
            {"SalesOrderItem": "10", "Material": "42", "RequestedQuantity": "3"},
            {"SalesOrderItem": "20", "Material": "2", "RequestedQuantity": "1"},
        ],
        "to_Text": [{"Language": "EN", "LongTextID": "TX01", "LongText": "Daníel"}],
    }


def test_without_text_id_the_name_is_not_sent(settings: Settings) -> None:
    document = Mapping(settings(text_id=None)).sales_order(an_order(customer_name="Daníel")).document

    assert "to_Text" not in document
    assert "Daníel" not in json.dumps(document, ensure_ascii=False)


@pytest.mark.parametrize(("region", "area"), [("north", NORTH), ("south", OTHERS)])
def test_region_without_a_row_takes_the_row_for_any(settings: Settings, region: str, area: SalesArea) -> None:
    sales_order = Mapping(settings(sales_areas={"north": NORTH, "*": OTHERS})).sales_order(an_order(region=region))

    assert (sales_order.organization, sales_order.sold_to) == (area.organization, area.sold_to)


@pytest.mark.parametrize(
    ("changes", "order", "reason"),
    [
        ({"sales_areas": {"south": NORTH}}, {"region": "north"}, "unmapped_region"),
        ({"materials": {"2": "TG11"}}, {"product_ids": (3,)}, "unmapped_product"),
        ({"reference_prefix": "WEB-"}, {"order_number": "A" * 32}, "unusable_reference"),
        ({}, {"customer_name": "Daníel", "product_ids": (1,), "order_number": "A" * 35}, None),
    ],
)
def test_order_that_cannot_be_expressed_is_refused_never_cut(
    settings: Settings, changes: dict[str, Any], order: dict[str, Any], reason: str | None
) -> None:
    mapping = Mapping(settings(**changes))
    if reason is None:
        assert mapping.sales_order(an_order(**order)).reference == "A" * 35
        return
    with pytest.raises(MappingError, match=f"^{reason}: "):
        mapping.sales_order(an_order(**order))


@pytest.mark.parametrize(
    ("materials", "material"),
    [
        ("{product_id}", "42"),
        ("MAT-{product_id:08d}", "MAT-00000042"),
        ({"42": "TG11"}, "TG11"),
        ({"1": "TG11", "*": "P{product_id}"}, "P42"),
    ],
)
def test_product_becomes_a_material_by_map_or_template(settings: Settings, materials: Any, material: str) -> None:
    document = Mapping(settings(materials=materials)).sales_order(an_order(product_ids=(42,))).document

    assert document["to_Item"][0]["Material"] == material


@pytest.mark.parametrize("region", ["north", "a", "0-9", "z" * 32])
@pytest.mark.parametrize("product_id", [1, 42, PRODUCT_ID_MAX])
def test_shipped_configuration_maps_every_region_and_product(settings: Settings, region: str, product_id: int) -> None:
    document = Mapping(settings()).sales_order(an_order(region=region, product_ids=(product_id,))).document

    assert document["to_Item"][0]["Material"] == str(product_id)


@pytest.mark.parametrize(
    ("moment", "zone", "milliseconds"),
    [
        (datetime(2024, 11, 1, 12, tzinfo=UTC), "UTC", 1730419200000),
        (datetime(2024, 10, 31, 23, 30, tzinfo=UTC), "Europe/Berlin", 1730419200000),
        (datetime(2024, 11, 2, 3, tzinfo=UTC), "America/New_York", 1730419200000),
    ],
)
def test_date_is_the_business_days_midnight_in_utc(moment: datetime, zone: str, milliseconds: int) -> None:
    assert edm_date(moment, ZoneInfo(zone)) == f"/Date({milliseconds})/"


def area(**changes: str) -> str:
    return json.dumps({"*": NORTH.model_dump() | changes})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SAP_URL": "sap.example:443/srv"}, "sap.url"),
        ({"SAP_URL": "https://sap.example/srv/"}, "sap.url"),
        ({"SAP_URL": "https://sap.example/srv"}, "SAP_SETTLE_S"),
        ({"SAP_URL": "https://sap.example/srv", "SAP_SETTLE_S": "59"}, "SAP_SETTLE_S"),
        ({"SAP_SALES_AREAS": "{north"}, "sap.sales_areas_override: expected JSON"),
        ({"SAP_SALES_AREAS": area(organization="17100")}, "organization"),
        ({"SAP_SALES_AREAS": area(sold_to="")}, "sold_to"),
        ({"SAP_SALES_AREAS": '{"Nörth": {}}'}, "sap.sales_areas_override"),
        ({"SAP_MATERIALS": "MAT"}, "product_id"),
        ({"SAP_MATERIALS": "{product}"}, "product_id"),
        ({"SAP_MATERIALS": "X" * 30 + "{product_id}"}, "40 printable"),
        ({"SAP_MATERIALS": '{"two": "TG11"}'}, "product ids as keys"),
        ({"SAP_MATERIALS": '{"2": ""}'}, "40 printable"),
        ({"SAP_MATERIALS": '{"*": "TG11"}'}, "product_id"),
        ({"SAP_TRANSIENT_RE": "("}, "sap.transient_re"),
        ({"TIMEZONE": "Berlin"}, "sap.timezone"),
        ({"SAP_READ_TIMEOUT": "75"}, "HANDLER_TIMEOUT_S"),
        ({"SAP_CLIENT": "1"}, "sap.client"),
        ({"SAP_REFERENCE_PREFIX": "Büro-"}, "sap.reference_prefix"),
    ],
)
def test_wrong_setting_stops_the_start_with_one_line(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as stopped:
        load(SapBridgeSettings, config_path("sap_bridge", {}), environ)

    assert message in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert environ.get("SAP_PASSWORD", "sandbox") not in str(stopped.value)


def test_environment_replaces_tables_and_reaches_a_real_sap() -> None:
    environ = {
        "SAP_URL": "https://sap.example/sap/opu/odata/sap/API_SALES_ORDER_SRV",
        "SAP_SETTLE_S": "120",
        "SAP_SALES_AREAS": json.dumps({"north": OTHERS.model_dump()}),
        "SAP_MATERIALS": '{"2": "TG11"}',
        "SAP_TEXT_ID": "none",
    }

    sap = load(SapBridgeSettings, config_path("sap_bridge", {}), environ).sap

    assert sap.areas_in_force == {"north": OTHERS}
    assert sap.materials_in_force == {"2": "TG11"}
    assert sap.text_id is None
    assert "sandbox" not in repr(sap)
