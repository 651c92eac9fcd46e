"""Booking a sales order: master data, what SAP fills in by itself, the number, the row."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from sap_sandbox import master_data
from sap_sandbox.deep_insert import Row, SalesOrderRequest
from sap_sandbox.errors import BadRequestError
from sap_sandbox.messages import Message, Sim
from sap_sandbox.settings import SandboxSettings
from sap_sandbox.store import NumberTakenError, RangeUsedUpError, Store

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class BookedOrder:
    """A sales order that is on disk, and what the client should know about it."""

    header: Row
    children: dict[str, tuple[Row, ...]]
    warnings: tuple[Message, ...]


def book(request: SalesOrderRequest, settings: SandboxSettings, store: Store) -> BookedOrder:
    """The sales order, booked. Blocks until it is on disk.

    Raises:
        BadRequestError: master data is unknown or blocked, or the number cannot be had; nothing is booked.
    """
    problems = master_data.problems(request, settings) + _number_problems(request, settings)
    if problems:
        raise BadRequestError(*problems)
    items = tuple(completed_item(item, request.header, settings) for item in request.children["to_Item"])
    header = completed_header(request.header, items, settings)
    children = request.children | {"to_Item": items}
    try:
        number = store.book(header, children)
    except NumberTakenError:
        shown = str(header["SalesOrder"]).lstrip("0")
        raise BadRequestError(Sim.NUMBER_TAKEN.error("SalesOrder", value=shown)) from None
    except RangeUsedUpError:
        raise BadRequestError(Sim.RANGE_USED_UP.error()) from None
    numbered = {name: tuple(row | {"SalesOrder": number} for row in rows) for name, rows in children.items()}
    warnings = (*request.warnings, *master_data.warnings(request, settings))
    return BookedOrder(header | {"SalesOrder": number}, numbered, warnings)


def _number_problems(request: SalesOrderRequest, settings: SandboxSettings) -> list[Message]:
    number = str(request.header["SalesOrder"])
    if not number:
        return []
    external = settings.external_range
    if external is None:
        return [Sim.NO_EXTERNAL_NUMBERS.error("SalesOrder", value=number)]
    if not (number.isascii() and number.isdigit() and external.first <= int(number) <= external.last):
        return [Sim.OUTSIDE_RANGE.error("SalesOrder", value=number)]
    return []


def completed_item(item: Row, header: Row, settings: SandboxSettings) -> Row:
    """The item with what SAP fills in by itself, its price among that."""
    quantity = item["RequestedQuantity"]
    assert isinstance(quantity, Decimal)
    price = Decimal(0) if master_data.is_incomplete(item, settings) else settings.net_price
    return item | {
        "RequestedQuantityUnit": item["RequestedQuantityUnit"] or "PC",
        "SalesOrderItemCategory": item["SalesOrderItemCategory"] or "TAN",
        "PurchaseOrderByCustomer": item["PurchaseOrderByCustomer"] or header["PurchaseOrderByCustomer"],
        "NetAmount": (quantity * price).quantize(_CENT, ROUND_HALF_UP),
    }


def moment_of_change() -> datetime:
    """Now, to the millisecond: JSON's dates have no more, and the version of an order is made of it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def completed_header(header: Row, items: tuple[Row, ...], settings: SandboxSettings) -> Row:
    """The header with what SAP fills in by itself: created now, the sum of its items."""
    now = moment_of_change()
    today = datetime(now.year, now.month, now.day)  # noqa: DTZ001 - Edm.DateTime has no zone
    return header | {
        "SalesOrderDate": header["SalesOrderDate"] or today,
        "PricingDate": header["PricingDate"] or today,
        "RequestedDeliveryDate": header["RequestedDeliveryDate"] or today,
        "TransactionCurrency": header["TransactionCurrency"] or settings.currency,
        "CreationDate": today,
        "CreatedByUser": settings.user[:12].upper(),
        "LastChangeDateTime": now,
        "TotalNetAmount": sum(
            (item["NetAmount"] for item in items if isinstance(item["NetAmount"], Decimal)), Decimal()
        ),
        "OverallSDProcessStatus": "A",
    }
