"""Sales orders as they are in SAP, read by pages. Nothing is written."""

import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sap_bridge.client import Answer, SapClient, literal
from sap_bridge.errors import Verdict
from sap_bridge.mapping import as_in_sap, quantities

PAGE_ROWS = 250
"""Sales orders of one answer: some 200 kB with three items each."""
TERMS_MAX = 20
"""Values of one `$filter`, so that the address stays below 4 kB."""
TRIES_MAX = 4
WAIT_S_MAX = 300.0

_SELECT = (
    "SalesOrder,PurchaseOrderByCustomer,CustomerPurchaseOrderDate,SoldToParty,SalesOrganization,DistributionChannel,"
    "OrganizationDivision,to_Item/Material,to_Item/RequestedQuantity"
)
_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d+)?\)/")


class UnreadableError(Exception):
    """SAP does not answer, refuses us, or sends what is no sales order."""


@dataclass(frozen=True, slots=True)
class SapOrder:
    """A sales order; `facts` by the names that the ledger uses, see `SalesOrder.facts`."""

    number: str
    reference: str
    facts: dict[str, Any]


class SapOrders:
    """Reads through one client; waits where SAP asks for it."""

    def __init__(self, client: SapClient, call_s: float) -> None:
        self._client = client
        self._call_s = call_s

    def between(self, first: date, last: date, sold_to: Collection[str]) -> Iterator[SapOrder]:
        """Sales orders of these customers with a customer's date from `first` to `last`, both included.

        Raises:
            UnreadableError: see there.
        """
        days = " and ".join(
            f"CustomerPurchaseOrderDate {operator} datetime'{day.isoformat()}T00:00:00'"
            for operator, day in (("ge", first), ("le", last))
        )
        for some in _batches(sorted(sold_to)):
            yield from self._all(f"{days} and ({_any_of('SoldToParty', some)})")

    def named(self, references: Collection[str], numbers: Collection[str]) -> Iterator[SapOrder]:
        """Sales orders with these references or numbers, whatever else they hold; each once.

        Raises:
            UnreadableError: see there.
        """
        seen = set()
        for name, values in (("PurchaseOrderByCustomer", references), ("SalesOrder", numbers)):
            for some in _batches(sorted(values)):
                for order in self._all(_any_of(name, some)):
                    if order.number not in seen:
                        seen.add(order.number)
                        yield order

    def _all(self, condition: str) -> Iterator[SapOrder]:
        query = {
            "$filter": condition,
            "$select": _SELECT,
            "$expand": "to_Item",
            "$orderby": "SalesOrder",
            "$top": str(PAGE_ROWS),
            "$format": "json",
        }
        skip = 0
        while rows := self._page(query | {"$skip": str(skip)}):  # a page may be shorter than asked: SAP may set limits
            skip += len(rows)
            yield from map(_sap_order, rows)

    def _page(self, query: dict[str, str]) -> list[dict[str, Any]]:
        tries = 1
        while True:
            time.sleep(self._client.pause_left_s())
            answer = self._client.read(query, time.monotonic() + self._call_s)
            if not isinstance(answer, Answer):
                return answer
            wait_s = answer.retry_after_s or float(2**tries)
            if answer.verdict is not Verdict.RETRY or tries == TRIES_MAX or wait_s > WAIT_S_MAX:
                raise UnreadableError(answer.reason)
            tries += 1
            time.sleep(wait_s)


def _sap_order(row: dict[str, Any]) -> SapOrder:
    try:
        items = [(item["Material"], item["RequestedQuantity"]) for item in row["to_Item"]["results"]]
        facts = {
            "day": _day(row["CustomerPurchaseOrderDate"]),
            "organization": row["SalesOrganization"],
            "channel": row["DistributionChannel"],
            "division": row["OrganizationDivision"],
            "sold_to": as_in_sap(row["SoldToParty"]),
            "items": quantities(items),
        }
        return SapOrder(str(row["SalesOrder"]), _text(row["PurchaseOrderByCustomer"]), facts)
    except (TypeError, KeyError, AttributeError, ArithmeticError, ValueError) as error:
        raise UnreadableError(f"SAP answered with rows that are no sales orders ({type(error).__name__})") from error


def _text(value: Any) -> str:
    if not isinstance(value, str | None):
        raise TypeError(type(value).__name__)
    return value or ""


def _day(value: Any) -> str:
    match = _DATE.fullmatch(value or "")
    return datetime.fromtimestamp(int(match[1]) / 1000, UTC).date().isoformat() if match else ""


def _any_of(name: str, values: Sequence[str]) -> str:
    return " or ".join(f"{name} eq {literal(value)}" for value in values)


def _batches(values: list[str]) -> Iterator[list[str]]:
    return (values[start : start + TERMS_MAX] for start in range(0, len(values), TERMS_MAX))
