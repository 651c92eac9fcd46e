"""What an order becomes in SAP."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from eventbus.contract.order import PRODUCT_ID_MAX
from eventbus.settings import SettingsError, config_path, load
from eventbus.testing import an_order
from sap_bridge.mapping import Mapping, MappingError, quantities
from sap_bridge.mapping_tables import SalesArea
from sap_bridge.settings import SapBridgeSettings

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

    assert (sales_order.reference, sales_order.area) == ("7KQ2-M9XD-4TWE", NORTH)
    assert sales_order.facts() == NORTH.model_dump() | {
        "reference": "7KQ2-M9XD-4TWE",
        "day": "2026-11-25",
        "items": {"42": "3", "2": "1"},
    }
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

    assert sales_order.area == area


@pytest.mark.parametrize(
    ("changes", "order", "reason"),
    [
        ({"sales_areas": {"south": NORTH}}, {"region": "north"}, "unmapped_region"),
        ({"materials": {"2": "TG11"}}, {"product_ids": (3,)}, "unmapped_product"),
        ({"reference_prefix": "WEB-"}, {"order_number": "A" * 32}, "unusable_reference"),
        ({}, {"created_at": datetime(9999, 12, 31, 23, 30, tzinfo=UTC)}, "unusable_date"),
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
        ({"*": "{product_id}"}, "42"),
        ({"*": "MAT-{product_id:08d}"}, "MAT-00000042"),
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
    ("moment", "zone", "day"),
    [
        (datetime(2024, 11, 1, 12, tzinfo=UTC), "UTC", "2024-11-01"),
        (datetime(2024, 10, 31, 23, 30, tzinfo=UTC), "Europe/Berlin", "2024-11-01"),
        (datetime(2024, 11, 2, 3, tzinfo=UTC), "America/New_York", "2024-11-01"),
    ],
)
def test_date_is_the_business_days_midnight_in_utc(settings: Settings, moment: datetime, zone: str, day: str) -> None:
    sales_order = Mapping(settings(timezone=ZoneInfo(zone))).sales_order(an_order(created_at=moment))

    assert sales_order.facts()["day"] == day
    assert sales_order.document["CustomerPurchaseOrderDate"] == "/Date(1730419200000)/"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([("00042", "1"), ("42", "2.000")], {"42": "3"}),
        ([("tg11", "100.000"), ("TG12", "0.500")], {"TG11": "100", "TG12": "0.5"}),
        ([("000", "1")], {"0": "1"}),
    ],
)
def test_quantities_are_told_as_sap_writes_them(items: list[tuple[str, str]], expected: dict[str, str]) -> None:
    assert quantities(items) == expected


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SAP_URL": "sap.example:443/srv"}, "sap.url"),
        ({"SAP_URL": "https://sap.example/srv/"}, "sap.url"),
        ({"SAP_URL": "https://WEBSHOP:sandbox@sap.example/srv"}, "sap.url"),
        ({"SAP_URL": "https://sap.example/srv"}, "SAP_SETTLE_S"),
        ({"SAP_URL": "https://sap.example/srv", "SAP_SETTLE_S": "59"}, "SAP_SETTLE_S"),
        ({"SAP_TRANSIENT_RE": "("}, "sap.transient_re"),
        ({"TIMEZONE": "Berlin"}, "sap.timezone"),
        ({"SAP_READ_TIMEOUT": "75"}, "HANDLER_TIMEOUT_S"),
        ({"SAP_CLIENT": "1"}, "sap.client"),
        ({"SAP_REFERENCE_PREFIX": "Büro-"}, "sap.reference_prefix"),
        ({"SAP_VERIFY": __file__}, "SAP_VERIFY"),
        ({"SAP_MAPPING_FILE": "/nonexistent.yaml"}, "/nonexistent.yaml: expected a readable YAML file"),
    ],
)
def test_wrong_setting_stops_the_start_with_one_line(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as stopped:
        load(SapBridgeSettings, config_path("sap_bridge", {}), environ)

    assert message in str(stopped.value)
    assert "\n" not in str(stopped.value)
    assert environ.get("SAP_PASSWORD", "sandbox") not in str(stopped.value)


def test_environment_reaches_a_real_sap(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(
        "sales_areas: {north: {organization: 1720, channel: 20, division: 00, sold_to: 17200009}}\n"
        "materials: {2: TG11}\n"
    )
    environ = {
        "SAP_URL": "https://sap.example/sap/opu/odata/sap/API_SALES_ORDER_SRV",
        "SAP_SETTLE_S": "120",
        "SAP_MAPPING_FILE": str(file),
        "SAP_TEXT_ID": "none",
    }

    sap = load(SapBridgeSettings, config_path("sap_bridge", {}), environ).sap

    assert sap.mapping.sales_areas == {"north": OTHERS}
    assert sap.mapping.materials == {"2": "TG11"}
    assert sap.text_id is None
    assert "sandbox" not in repr(sap)
