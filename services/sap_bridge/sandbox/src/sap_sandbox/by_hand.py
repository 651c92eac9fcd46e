"""What a person does in SAP by hand, past every interface: look at sales orders, delete, copy and change them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from sap_sandbox import edm
from sap_sandbox.booking import completed_header, completed_item, moment_of_change
from sap_sandbox.deep_insert import Row
from sap_sandbox.schema import ITEM, SALES_ORDER, EntityType
from sap_sandbox.settings import SandboxSettings
from sap_sandbox.store import Store
from sap_sandbox.tables import TABLES, sales_order

ITEMS = TABLES[ITEM.set_name]
LISTED_MAX = 1000
CHANGES = {"reference": "PurchaseOrderByCustomer", "material": "Material", "quantity": "RequestedQuantity"}
"""What can be changed, and the property that it is."""


class NoSuchOrderError(LookupError):
    """There is no sales order of that number, or no such item in it."""


class ChangeError(ValueError):
    """The change is wrong.

    Attributes:
        field: the field at fault.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


@dataclass(frozen=True)
class ByHand:
    """Works on the store's sales orders. Every method blocks; all but `orders` need the one thread that writes."""

    store: Store
    settings: SandboxSettings

    def orders(self, reference: str | None, limit: int) -> dict[str, Any]:
        """The newest `limit` sales orders, oldest first, and how many there are. `*` stands for any characters."""
        where = sa.true() if reference is None else sales_order.c.PurchaseOrderByCustomer.op("GLOB")(_glob(reference))
        newest = sa.select(sales_order).where(where).order_by(sales_order.c.SalesOrder.desc()).limit(limit)
        count = sa.select(sa.func.count()).select_from(sales_order).where(where)
        with self.store.reader.connect() as connection:
            headers = [dict(row) for row in connection.execute(newest).mappings()]
            total = connection.scalar(count) or 0
        headers.reverse()
        items = self.store.children("to_Item", [str(header["SalesOrder"]) for header in headers])
        return {
            "total": total,
            "orders": [_shown(header, items[str(header["SalesOrder"])]) for header in headers],
        }

    def remove(self, number: str) -> None:
        """Delete the sales order; its number is not given out again.

        Raises:
            NoSuchOrderError: see there.
        """
        header = self._header(number)
        with self.store.writer.begin() as connection:
            for set_name in (*SALES_ORDER.navigations.values(), SALES_ORDER.set_name):
                table = TABLES[set_name]
                connection.execute(sa.delete(table).where(table.c.SalesOrder == header["SalesOrder"]))

    def double(self, number: str) -> str:
        """Copy the sales order, reference included. Returns the copy's number.

        Raises:
            NoSuchOrderError: see there.
            RangeUsedUpError: the internal number range has no number left.
        """
        header = self._header(number)
        own = str(header["SalesOrder"])
        children = {name: tuple(self.store.children(name, [own])[own]) for name in SALES_ORDER.navigations}
        copy = completed_header(header | {"SalesOrder": ""}, children["to_Item"], self.settings)
        return edm.external(_key(SALES_ORDER), self.store.book(copy, children))

    def change(self, number: str, item: str | None, changes: dict[str, Any]) -> None:
        """Change the sales order, its `item` (without: the first) where `CHANGES` is about items.

        Raises:
            NoSuchOrderError: see there.
            ChangeError: see there.
        """
        header = self._header(number)
        own = str(header["SalesOrder"])
        items = self.store.children("to_Item", [own])[own]
        for field, value in changes.items():
            entity, row = (SALES_ORDER, header) if field == "reference" else (ITEM, _item(items, item, number))
            row[CHANGES[field]] = _value(entity, field, value)
        items = [completed_item(row, header, self.settings) for row in items]
        header["LastChangeDateTime"] = moment_of_change()
        header["TotalNetAmount"] = sum((Decimal(str(row["NetAmount"])) for row in items), Decimal())
        with self.store.writer.begin() as connection:
            connection.execute(sa.update(sales_order).where(sales_order.c.SalesOrder == own).values(header))
            for row in items:
                key = (ITEMS.c.SalesOrder == own, ITEMS.c.SalesOrderItem == row["SalesOrderItem"])
                connection.execute(sa.update(ITEMS).where(*key).values(row))

    def _header(self, number: str) -> Row:
        try:
            key = edm.text(_key(SALES_ORDER), number)
        except edm.ValueFormatError:
            key = ""
        header = self.store.find(SALES_ORDER, {"SalesOrder": key})
        if header is None:
            raise NoSuchOrderError(f"there is no sales order {number}")
        return header


def _key(entity: EntityType) -> Any:
    return entity.find(entity.keys[-1])


def _item(items: list[Row], number: str | None, order: str) -> Row:
    if number is None:
        return items[0]
    found = next((row for row in items if str(row["SalesOrderItem"]).lstrip("0") == number.lstrip("0")), None)
    if found is None:
        known = ", ".join(str(row["SalesOrderItem"]).lstrip("0") for row in items)
        raise NoSuchOrderError(f"sales order {order} has no item {number}, but {known}")
    return found


def _value(entity: EntityType, field: str, value: Any) -> edm.Value:
    prop = entity.find(CHANGES[field])
    assert prop is not None
    try:
        decoded = edm.from_json(prop, value)
    except edm.ValueFormatError as error:
        raise ChangeError(field, f"{error}, got {value!r:.100}") from None
    if not decoded or (isinstance(decoded, Decimal) and decoded < 0):
        raise ChangeError(field, f"a value above zero, or a text, is expected, got {value!r:.100}")
    return decoded


def _shown(header: Row, items: list[Row]) -> dict[str, Any]:
    """Without the texts: they may hold a customer's name."""
    names = ("SalesOrder", "PurchaseOrderByCustomer", "SalesOrganization", "SoldToParty", "TotalNetAmount")
    created = header["LastChangeDateTime"]
    assert isinstance(created, datetime)
    return {
        **{name: _external(SALES_ORDER, header, name) for name in (*names, "TransactionCurrency")},
        "LastChangeDateTime": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "to_Item": [
            {name: _external(ITEM, row, name) for name in ("SalesOrderItem", "Material", "RequestedQuantity")}
            for row in items
        ],
    }


def _external(entity: EntityType, row: Row, name: str) -> Any:
    prop = entity.find(name)
    assert prop is not None
    return edm.to_json(prop, row[name])


def _glob(pattern: str) -> str:
    return "".join(f"[{character}]" if character in "?[" else character for character in pattern)
