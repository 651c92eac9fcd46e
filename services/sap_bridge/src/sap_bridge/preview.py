"""The dry run: what an order would become in SAP. Connects to nothing."""

import json
from typing import Any

from eventbus.contract import OrderCreated, UndecodableError, decode
from pydantic import ValidationError

from sap_bridge.mapping import Mapping, MappingError, SalesOrder
from sap_bridge.mapping_tables import ANY
from sap_bridge.settings import SapSettings

LABEL_CHARACTERS = 20
MATERIAL_CHARACTERS_MIN = 10


class WouldBeParkedError(Exception):
    """The bridge would park it for a person. The text is the reason that it would give."""


def read_order(content: bytes) -> OrderCreated:
    """The order in a JSON document: an order as the gateway answers it, or an `order.created` event.

    Raises:
        WouldBeParkedError: it is neither.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WouldBeParkedError(f"undecodable: not JSON ({type(error).__name__})") from None
    if isinstance(document, dict) and "specversion" in document:
        return _order_of_event(content)
    try:
        return OrderCreated.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise WouldBeParkedError(f"undecodable: not an order: {f'{where}: ' if where else ''}{message}") from None


def _order_of_event(content: bytes) -> OrderCreated:
    try:
        event = decode(content, None, None)
    except UndecodableError as error:
        raise WouldBeParkedError(f"undecodable: {error}") from None
    if not isinstance(event.data, OrderCreated):
        raise WouldBeParkedError(f"undecodable: expected an order.created event, got {event.type}")
    return event.data


def sales_order(order: OrderCreated, settings: SapSettings) -> SalesOrder:
    """What would be posted.

    Raises:
        WouldBeParkedError: the mapping cannot express the order.
    """
    try:
        return Mapping(settings).sales_order(order)
    except MappingError as error:
        raise WouldBeParkedError(str(error)) from None


def as_text(order: OrderCreated, sales_order: SalesOrder, settings: SapSettings) -> list[str]:
    """The sales order for people, one aligned line for each field and item."""
    document, area = sales_order.document, sales_order.area
    row = order.region if order.region in settings.mapping.sales_areas else ANY
    lines = [
        f"Order {order.order_number} would become this sales order ({settings.url}):",
        "",
        _field("Order type", document["SalesOrderType"]),
        _field("Sales area", f"{area.organization} / {area.channel} / {area.division}", _row("region", row)),
        _field("Sold-to party", area.sold_to),
        _field("Customer reference", sales_order.reference),
        _field("Customer's date", sales_order.day.isoformat(), f"in {settings.timezone.key}"),
    ]
    texts = document.get("to_Text", ())
    lines += [_field(f"Text {text['LongTextID']} ({text['Language']})", text["LongText"]) for text in texts]
    return [*lines, "", *_items(order, document["to_Item"], settings.mapping.materials)]


def _items(order: OrderCreated, items: list[dict[str, Any]], materials: dict[str, str]) -> list[str]:
    products = list(dict.fromkeys(order.product_ids))
    width = max(MATERIAL_CHARACTERS_MIN, *(len(item["Material"]) for item in items))
    lines = [f"  {'Item':>6}  {'Quantity':>8}  {'Material':<{width}}  Product"]
    for product_id, item in zip(products, items, strict=True):
        row = _row("product", str(product_id) if str(product_id) in materials else ANY)
        number, quantity, material = item["SalesOrderItem"], item["RequestedQuantity"], item["Material"]
        lines.append(f"  {number:>6}  {quantity:>8}  {material:<{width}}  {product_id}  ({row})")
    return lines


def _field(label: str, value: str, remark: str = "") -> str:
    return f"  {label:<{LABEL_CHARACTERS}}{value}" + (f"  ({remark})" if remark else "")


def _row(kind: str, key: str) -> str:
    return "row *" if key == ANY else f"row of the {kind}"
