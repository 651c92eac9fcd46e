"""What the sandbox knows of organization, customers and materials, and what it refuses to sell."""

from fnmatch import fnmatchcase

from sap_sandbox import edm
from sap_sandbox.deep_insert import Row, SalesOrderRequest
from sap_sandbox.messages import Message, Sim
from sap_sandbox.schema import SALES_ORDER
from sap_sandbox.settings import MasterDataSettings


def problems(request: SalesOrderRequest, known: MasterDataSettings) -> list[Message]:
    """Everything that keeps the order from being booked: unknown or blocked master data."""
    header = request.header
    area = "/".join(str(header[name]) for name in ("SalesOrganization", "DistributionChannel", "OrganizationDivision"))
    customer = _shown(header, "SoldToParty")
    checks = [
        (header["SalesOrderType"], "SalesOrderType", known.order_types, (), Sim.UNKNOWN_ORDER_TYPE, None),
        (area, "SalesOrganization", known.sales_areas, known.sales_areas_blocked,
         Sim.UNKNOWN_SALES_AREA, Sim.BLOCKED_SALES_AREA),
        (customer, "SoldToParty", known.sold_to_parties, known.sold_to_parties_blocked,
         Sim.UNKNOWN_CUSTOMER, Sim.BLOCKED_CUSTOMER),
        *((item["Material"], "Material", known.materials, known.materials_blocked,
           Sim.UNKNOWN_MATERIAL, Sim.BLOCKED_MATERIAL) for item in request.children["to_Item"]),
        *((text["LongTextID"], "LongTextID", known.text_ids, (), Sim.UNKNOWN_TEXT_ID, None)
          for text in request.children.get("to_Text", ())),
    ]  # fmt: skip
    found = []
    for value, target, allowed, blocked, unknown_message, blocked_message in checks:
        if blocked_message and _matches(str(value), blocked):
            found.append(blocked_message.error(target, value=value))
        elif not _matches(str(value), allowed):
            found.append(unknown_message.error(target, value=value))
    return list(dict.fromkeys(found))


def warnings(request: SalesOrderRequest, known: MasterDataSettings) -> list[Message]:
    """What is missing in an order that is booked all the same."""
    return [
        Sim.INCOMPLETE.warning(item=str(item["SalesOrderItem"]).lstrip("0"))
        for item in request.children["to_Item"]
        if is_incomplete(item, known)
    ]


def is_incomplete(item: Row, known: MasterDataSettings) -> bool:
    """Whether the item's material has no price."""
    return _matches(str(item["Material"]), known.materials_incomplete)


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _shown(header: Row, name: str) -> str:
    prop = SALES_ORDER.find(name)
    assert prop is not None
    return edm.external(prop, str(header[name]))
