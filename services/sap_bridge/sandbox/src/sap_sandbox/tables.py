"""The sandbox's tables: one per entity type, a column per property, and the state of the internal number range.

`PurchaseOrderByCustomer` is not unique, as in SAP: a client that sends an order twice has booked it twice.
"""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from eventbus.database import UtcDateTime
from sqlalchemy.engine import Dialect

from sap_sandbox.schema import ENTITY_TYPES, ITEM, PARTNER, SALES_ORDER, SCALE, TEXT, Edm, EntityType, Property


class ExactDecimal(sa.types.TypeDecorator[Decimal]):
    """A decimal with `SCALE` digits after the point, kept as a whole number: SQLite would make it a float."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else int(value.scaleb(SCALE))

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value).scaleb(-SCALE)


metadata = sa.MetaData()

_TYPES: dict[Edm, type[sa.types.TypeEngine[Any]]] = {
    Edm.DATE: sa.DateTime,
    Edm.MOMENT: UtcDateTime,
    Edm.DECIMAL: ExactDecimal,
    Edm.BOOLEAN: sa.Boolean,
}


def _column(entity: EntityType, prop: Property) -> "sa.Column[Any]":
    type_ = (sa.String(prop.size) if prop.size else sa.Text()) if prop.edm is Edm.STRING else _TYPES[prop.edm]()
    is_key = prop.name in entity.keys
    parent = (
        [sa.ForeignKey("sales_order.SalesOrder")] if prop.name == "SalesOrder" and entity is not SALES_ORDER else []
    )
    nullable = prop.edm in (Edm.DATE, Edm.MOMENT)
    return sa.Column(prop.name, type_, *parent, primary_key=is_key, nullable=nullable and not is_key)


def _table(name: str, entity: EntityType) -> sa.Table:
    return sa.Table(name, metadata, *(_column(entity, prop) for prop in entity.properties))


TABLES = {
    SALES_ORDER.set_name: _table("sales_order", SALES_ORDER),
    ITEM.set_name: _table("sales_order_item", ITEM),
    PARTNER.set_name: _table("sales_order_partner", PARTNER),
    TEXT.set_name: _table("sales_order_text", TEXT),
}
assert TABLES.keys() == ENTITY_TYPES.keys()

sales_order = TABLES[SALES_ORDER.set_name]
sa.Index("sales_order_reference", sales_order.c.PurchaseOrderByCustomer)

number_range = sa.Table(
    "number_range",
    metadata,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("last_number", sa.BigInteger, nullable=False),
)
