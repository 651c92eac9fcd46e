"""From an order to the document that SAP takes (`A_SalesOrder`, a deep insert of API_SALES_ORDER_SRV)."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from eventbus.contract import OrderCreated

from sap_bridge.mapping_tables import ANY, SalesArea
from sap_bridge.settings import SapSettings

REFERENCE_CHARACTERS_MAX = 35
"""PurchaseOrderByCustomer. Never cut: two orders would share a reference, and the look-up would mix them up."""
ITEMS_MAX = 999
ITEM_STEP = 10


class MappingError(Exception):
    """The order cannot be expressed in SAP's terms: a row is missing in our tables, or the order breaks a limit."""


@dataclass(frozen=True, slots=True)
class SalesOrder:
    """What is posted, and by what it is found again."""

    reference: str
    """PurchaseOrderByCustomer: the order number behind the configured prefix."""
    area: SalesArea
    day: date
    """CustomerPurchaseOrderDate: the day of the order in the business's time zone."""
    document: dict[str, Any]

    def facts(self) -> dict[str, Any]:
        """What the ledger keeps of it: enough to find it in SAP and to tell a change there. No personal data."""
        return {
            "reference": self.reference,
            "day": self.day.isoformat(),
            **self.area.model_dump(),
            "items": quantities((item["Material"], item["RequestedQuantity"]) for item in self.document["to_Item"]),
        }


class Mapping:
    """Maps orders by the tables of the settings, which were checked when they were read."""

    def __init__(self, settings: SapSettings) -> None:
        self._settings = settings

    def sales_order(self, order: OrderCreated) -> SalesOrder:
        """The sales order of that order.

        Raises:
            MappingError: with a reason such as `unmapped_region: …`, free of personal data.
        """
        area = self._area(order.region)
        day = self._day(order.created_at)
        reference = self.reference(order.order_number)
        document: dict[str, Any] = {
            "SalesOrderType": self._settings.order_type,
            "SalesOrganization": area.organization,
            "DistributionChannel": area.channel,
            "OrganizationDivision": area.division,
            "SoldToParty": area.sold_to,
            "PurchaseOrderByCustomer": reference,
            "CustomerPurchaseOrderDate": edm_date(day),
            "to_Item": self._items(order.product_ids),
        }
        if self._settings.text_id:
            # a business partner's number stands for the customer; addresses cannot be inserted by this service
            text = {"Language": self._settings.language, "LongTextID": self._settings.text_id}
            document["to_Text"] = [text | {"LongText": order.customer_name}]
        return SalesOrder(reference, area, day, document)

    def reference(self, order_number: str) -> str:
        """The customer reference of an order. Raises MappingError where SAP's field cannot hold it as it is."""
        reference = f"{self._settings.reference_prefix}{order_number}"
        if len(reference) > REFERENCE_CHARACTERS_MAX or not re.fullmatch(r"[!-~]+", reference):
            raise MappingError(
                f"unusable_reference: {len(reference)} characters; SAP takes {REFERENCE_CHARACTERS_MAX} of ASCII"
            )
        return reference

    def _day(self, moment: datetime) -> date:
        try:
            return moment.astimezone(self._settings.timezone).date()
        except OverflowError:
            raise MappingError(f"unusable_date: {moment:%Y-%m-%d} is the calendar's end") from None

    def _area(self, region: str) -> SalesArea:
        areas = self._settings.mapping.sales_areas
        area = areas.get(region) or areas.get(ANY)
        if area is None:
            raise MappingError(f"unmapped_region: sales_areas has neither {region} nor {ANY}")
        return area

    def _items(self, product_ids: tuple[int, ...]) -> list[dict[str, str]]:
        counts = Counter(product_ids)  # in the order in which they are first seen
        if not 1 <= len(counts) <= ITEMS_MAX:
            raise MappingError(f"unusable_items: {len(counts)} different products; SAP takes 1 to {ITEMS_MAX}")
        return [
            {
                "SalesOrderItem": str(position * ITEM_STEP),
                "Material": self._material(product_id),
                "RequestedQuantity": str(quantity),  # Edm.Decimal is a string in OData V2's JSON
            }
            for position, (product_id, quantity) in enumerate(counts.items(), start=1)
        ]

    def _material(self, product_id: int) -> str:
        materials = self._settings.mapping.materials
        if (material := materials.get(str(product_id))) is not None:
            return material
        if (template := materials.get(ANY)) is not None:
            return template.format(product_id=product_id)
        raise MappingError(f"unmapped_product: materials has neither {product_id} nor {ANY}")


def edm_date(day: date) -> str:
    """The day as OData V2 writes a date in JSON: `/Date(<ms of its midnight in UTC>)/`."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return f"/Date({int(midnight.timestamp()) * 1000})/"


def quantities(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Pieces by material, as SAP would write both: without leading zeros, in upper case, without trailing decimals."""
    totals: dict[str, Decimal] = {}
    for material, quantity in items:
        name = as_in_sap(material)
        totals[name] = totals.get(name, Decimal()) + Decimal(quantity)
    return {material: f"{total.normalize():f}" for material, total in totals.items()}


def as_in_sap(code: str) -> str:
    """A material or business partner as SAP gives it back, whatever it was sent as: digits without leading zeros."""
    return (code.lstrip("0") or "0") if code.isdecimal() else code.upper()
