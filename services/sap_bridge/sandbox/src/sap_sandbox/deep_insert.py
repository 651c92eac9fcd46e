"""The body of a create: one sales order with its items, partners and texts, checked strictly."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from sap_sandbox import edm
from sap_sandbox.errors import BadRequestError
from sap_sandbox.messages import Message, Sim
from sap_sandbox.schema import ENTITY_TYPES, ITEM, SALES_ORDER, EntityType

Row = dict[str, edm.Value]
"""The values of one entity by property; all properties are there."""

REQUIRED = {
    "A_SalesOrder": (
        "SalesOrderType",
        "SalesOrganization",
        "DistributionChannel",
        "OrganizationDivision",
        "SoldToParty",
    ),
    "A_SalesOrderItem": ("Material",),
    "A_SalesOrderHeaderPartner": ("PartnerFunction", "Customer"),
    "A_SalesOrderText": ("Language", "LongTextID"),
}
ITEM_STEP = 10
ITEM_NUMBER_MAX = 999_999
_NOT_SIMULATED = frozenset({"to_PricingElement", "to_RelatedObject", "to_PaymentPlanItemDetails"})


@dataclass(frozen=True)
class SalesOrderRequest:
    """What a client wants to be booked. `children` has the navigations that it sent."""

    header: Row
    children: dict[str, tuple[Row, ...]]
    warnings: tuple[Message, ...]


def parse(body: bytes) -> SalesOrderRequest:
    """The sales order that the body asks for.

    Raises:
        BadRequestError: the first thing wrong with the body.
    """
    document = _json_object(body)
    warnings: list[Message] = []
    header = _entity(SALES_ORDER, document, warnings)
    children = {
        name: _children(ENTITY_TYPES[set_name], name, document[name], warnings)
        for name, set_name in SALES_ORDER.navigations.items()
        if document.get(name) is not None
    }
    if not children.get("to_Item"):
        raise BadRequestError(Sim.NOT_DEEP.error("to_Item"))
    _number_items(children["to_Item"])
    for name, rows in children.items():
        _refuse_repeats(ENTITY_TYPES[SALES_ORDER.navigations[name]], rows)
    return SalesOrderRequest(header, children, tuple(dict.fromkeys(warnings)))


def _json_object(body: bytes) -> dict[str, Any]:
    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a property occurs twice")
        return members

    def not_json(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        text = body.decode("utf-8")
        document = json.loads(text, object_pairs_hook=without_repeats, parse_constant=not_json)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequestError(Sim.MALFORMED_BODY.error(reason=reason)) from None
    if not isinstance(document, dict):
        raise BadRequestError(Sim.MALFORMED_BODY.error(reason="one JSON object is expected"))
    return document


def _entity(entity: EntityType, members: dict[str, Any], warnings: list[Message]) -> Row:
    row = {prop.name: edm.initial(prop) for prop in entity.properties}
    for name, value in members.items():
        if name in entity.navigations or name == "__metadata":
            continue
        if entity is SALES_ORDER and name in _NOT_SIMULATED:
            raise BadRequestError(Sim.NOT_SIMULATED.error(name, what=f"Navigation {name}"))
        prop = entity.find(name)
        if prop is None:
            raise BadRequestError(Sim.UNKNOWN_PROPERTY.error(name, name=name, entity=entity.set_name))
        try:
            decoded = edm.from_json(prop, value)
        except edm.ValueFormatError as error:
            raise BadRequestError(Sim.BAD_VALUE.error(name, name=name, reason=error)) from None
        if not prop.creatable:
            warnings.append(Sim.READ_ONLY_IGNORED.warning(name=name))
        elif name != "SalesOrder" or entity is SALES_ORDER:  # a child's is its parent's
            row[name] = decoded
    for name in REQUIRED[entity.set_name]:
        if not row[name]:
            raise BadRequestError(Sim.MISSING.error(name, name=name, entity=entity.set_name))
    if entity is ITEM:
        _check_quantity(row)
    return row


def _check_quantity(item: Row) -> None:
    quantity = item["RequestedQuantity"]
    assert isinstance(quantity, Decimal)
    if quantity <= 0:
        raise BadRequestError(Sim.BAD_QUANTITY.error("RequestedQuantity"))


def _children(entity: EntityType, navigation: str, value: Any, warnings: list[Message]) -> tuple[Row, ...]:
    """The entities of a navigation, from a list or from `{"results": [...]}`: both are in use."""
    if isinstance(value, dict) and set(value) == {"results"}:
        value = value["results"]
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadRequestError(Sim.BAD_VALUE.error(navigation, name=navigation, reason="a list of objects is expected"))
    return tuple(_entity(entity, entry, warnings) for entry in value)


def _number_items(items: tuple[Row, ...]) -> None:
    """Give numbers to the items without one: the next ten after the highest so far."""
    highest = 0
    for item in items:
        given = str(item["SalesOrderItem"])
        if given and not (given.isascii() and given.isdigit() and int(given) > 0):
            reason = f"a number from 1 to {ITEM_NUMBER_MAX} is expected"
            raise BadRequestError(Sim.BAD_VALUE.error("SalesOrderItem", name="SalesOrderItem", reason=reason))
        number = int(given) if given else (highest // ITEM_STEP + 1) * ITEM_STEP
        if number > ITEM_NUMBER_MAX:
            reason = f"more items than numbers up to {ITEM_NUMBER_MAX}"
            raise BadRequestError(Sim.BAD_VALUE.error("to_Item", name="to_Item", reason=reason))
        item["SalesOrderItem"] = f"{number:06}"
        highest = max(highest, number)


def _refuse_repeats(entity: EntityType, rows: tuple[Row, ...]) -> None:
    seen = set()
    for row in rows:
        key = tuple(row[name] for name in entity.keys)
        if key in seen:
            shown = ", ".join(str(row[name]) for name in entity.keys[1:])
            raise BadRequestError(Sim.TWICE.error(entity=entity.set_name, key=shown))
        seen.add(key)
