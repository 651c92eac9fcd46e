"""The entity types that the sandbox knows, as data: metadata, input check, storage, filter and output all walk this.

Names, lengths and what can be set at creation are those of SAP's service, reduced to what a web shop's order needs.
"""

from dataclasses import dataclass, field
from enum import StrEnum

NAMESPACE = "API_SALES_ORDER_SRV"


class Edm(StrEnum):
    """OData's primitive types, as far as they are needed."""

    STRING = "Edm.String"
    DATE = "Edm.DateTime"
    MOMENT = "Edm.DateTimeOffset"
    DECIMAL = "Edm.Decimal"
    BOOLEAN = "Edm.Boolean"


SCALE = 3
"""Digits after the point of every decimal here."""


@dataclass(frozen=True)
class Property:
    """One property. `size` is a string's length in characters or a decimal's digits in all.

    `padded`: digits have leading zeros inside and none outside (ABAP's conversion exit ALPHA), so "4711" and
    "0000004711" are the same value. `upper`: the value is turned into upper case.
    """

    name: str
    edm: Edm = Edm.STRING
    size: int = 0
    creatable: bool = True
    upper: bool = False
    padded: bool = False


@dataclass(frozen=True)
class EntityType:
    """One entity type and the one set that holds its entities. `navigations` maps a name to a set's name."""

    set_name: str
    keys: tuple[str, ...]
    properties: tuple[Property, ...]
    navigations: dict[str, str] = field(default_factory=dict)

    @property
    def type_name(self) -> str:
        """The type's name without namespace."""
        return f"{self.set_name}Type"

    def find(self, name: str) -> Property | None:
        """The property of that name (case matters)."""
        return next((p for p in self.properties if p.name == name), None)


def _code(name: str, size: int) -> Property:
    return Property(name, size=size, upper=True)


def _derived(name: str, edm: Edm = Edm.STRING, size: int = 0) -> Property:
    return Property(name, edm, size, creatable=False)


_SALES_ORDER_KEY = Property("SalesOrder", size=10, padded=True)

SALES_ORDER = EntityType(
    "A_SalesOrder",
    keys=("SalesOrder",),
    properties=(
        _SALES_ORDER_KEY,
        _code("SalesOrderType", 4),
        _code("SalesOrganization", 4),
        _code("DistributionChannel", 2),
        _code("OrganizationDivision", 2),
        Property("SoldToParty", size=10, upper=True, padded=True),
        Property("PurchaseOrderByCustomer", size=35),
        Property("PurchaseOrderByShipToParty", size=35),
        _code("CustomerPurchaseOrderType", 4),
        Property("CustomerPurchaseOrderDate", Edm.DATE),
        Property("SalesOrderDate", Edm.DATE),
        Property("PricingDate", Edm.DATE),
        Property("RequestedDeliveryDate", Edm.DATE),
        _code("TransactionCurrency", 5),
        _code("SDDocumentReason", 3),
        _code("DeliveryBlockReason", 2),
        Property("CompleteDeliveryIsDefined", Edm.BOOLEAN),
        _derived("CreationDate", Edm.DATE),
        _derived("CreatedByUser", size=12),
        _derived("LastChangeDateTime", Edm.MOMENT),
        _derived("TotalNetAmount", Edm.DECIMAL, 16),
        _derived("OverallSDProcessStatus", size=1),
        _derived("TotalCreditCheckStatus", size=1),
        _derived("ExternalDocumentID", size=40),
        _derived("SenderBusinessSystemName", size=60),
    ),
    navigations={
        "to_Item": "A_SalesOrderItem",
        "to_Partner": "A_SalesOrderHeaderPartner",
        "to_Text": "A_SalesOrderText",
    },
)

ITEM = EntityType(
    "A_SalesOrderItem",
    keys=("SalesOrder", "SalesOrderItem"),
    properties=(
        _SALES_ORDER_KEY,
        Property("SalesOrderItem", size=6, padded=True),
        Property("Material", size=40, upper=True),
        Property("RequestedQuantity", Edm.DECIMAL, 15),
        _code("RequestedQuantityUnit", 3),
        _code("SalesOrderItemCategory", 4),
        Property("PurchaseOrderByCustomer", size=35),
        Property("ExternalItemID", size=40),
        _code("ProductionPlant", 4),
        _derived("NetAmount", Edm.DECIMAL, 16),
    ),
)

PARTNER = EntityType(
    "A_SalesOrderHeaderPartner",
    keys=("SalesOrder", "PartnerFunction"),
    properties=(
        _SALES_ORDER_KEY,
        _code("PartnerFunction", 2),
        Property("Customer", size=10, upper=True, padded=True),
    ),
)

TEXT = EntityType(
    "A_SalesOrderText",
    keys=("SalesOrder", "Language", "LongTextID"),
    properties=(
        _SALES_ORDER_KEY,
        _code("Language", 2),
        _code("LongTextID", 4),
        Property("LongText"),
    ),
)

ENTITY_TYPES = {entity.set_name: entity for entity in (SALES_ORDER, ITEM, PARTNER, TEXT)}
