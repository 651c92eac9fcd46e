"""From an order to the document that SAP takes (`A_SalesOrder`, a deep insert of API_SALES_ORDER_SRV)."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from eventbus.contract import OrderCreated

from sap_bridge.settings import ANY, SalesArea, SapSettings

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
    sold_to: str
    organization: str
    document: dict[str, Any]


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
        reference = self.reference(order.order_number)
        document: dict[str, Any] = {
            "SalesOrderType": self._settings.order_type,
            "SalesOrganization": area.organization,
            "DistributionChannel": area.channel,
            "OrganizationDivision": area.division,
            "SoldToParty": area.sold_to,
            "PurchaseOrderByCustomer": reference,
            "CustomerPurchaseOrderDate": edm_date(order.created_at, self._settings.timezone),
            "to_Item": self._items(order.product_ids),
        }
        if self._settings.text_id:
            # a business partner's number stands for the customer; addresses cannot be inserted by this service
            text = {"Language": self._settings.language, "LongTextID": self._settings.text_id}
            document["to_Text"] = [text | {"LongText": order.customer_name}]
        return SalesOrder(reference, area.sold_to, area.organization, document)

    def reference(self, order_number: str) -> str:
        """The customer reference of an order. Raises MappingError where SAP's field cannot hold it as it is."""
        reference = f"{self._settings.reference_prefix}{order_number}"
        if len(reference) > REFERENCE_CHARACTERS_MAX or not re.fullmatch(r"[!-~]+", reference):
            raise MappingError(
                f"unusable_reference: {len(reference)} characters; SAP takes {REFERENCE_CHARACTERS_MAX} of ASCII"
            )
        return reference

    def _area(self, region: str) -> SalesArea:
        areas = self._settings.areas_in_force
        area = areas.get(region) or areas.get(ANY)
        if area is None:
            raise MappingError(f"unmapped_region: sales_areas has neither {region} nor {ANY}")
        return area

    def _items(self, product_ids: tuple[int, ...]) -> list[dict[str, str]]:
        quantities = Counter(product_ids)  # in the order in which they are first seen
        if not 1 <= len(quantities) <= ITEMS_MAX:
            raise MappingError(f"unusable_items: {len(quantities)} different products; SAP takes 1 to {ITEMS_MAX}")
        return [
            {
                "SalesOrderItem": str(position * ITEM_STEP),
                "Material": self._material(product_id),
                "RequestedQuantity": str(quantity),  # Edm.Decimal is a string in OData V2's JSON
            }
            for position, (product_id, quantity) in enumerate(quantities.items(), start=1)
        ]

    def _material(self, product_id: int) -> str:
        materials = self._settings.materials_in_force
        if isinstance(materials, str):
            return materials.format(product_id=product_id)
        if (material := materials.get(str(product_id))) is not None:
            return material
        if (template := materials.get(ANY)) is not None:
            return template.format(product_id=product_id)
        raise MappingError(f"unmapped_product: materials has neither {product_id} nor {ANY}")


def edm_date(moment: datetime, zone: ZoneInfo) -> str:
    """The day of that moment in the zone, as OData V2 writes a date in JSON: `/Date(<ms of its midnight in UTC>)/`."""
    day = moment.astimezone(zone).date()
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return f"/Date({int(midnight.timestamp()) * 1000})/"
