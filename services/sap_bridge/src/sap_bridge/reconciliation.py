"""Compares the ledger with SAP, order by order. Reads both, changes nothing.

Both go on while they are read, one after the other. So what looks wrong at first is looked at again: the ledger anew,
then SAP, by reference and number instead of day and customer. What is still wrong then, is.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sap_bridge.booking import BOOKED, SENDING
from sap_bridge.bookings import Booking
from sap_bridge.client import in_order
from sap_bridge.mapping import as_in_sap
from sap_bridge.sap_orders import SapOrder

SHOPS_ORDER_NUMBER = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}")
"""As the gateway makes them: three groups of Crockford's base 32."""


class Kind(StrEnum):
    """What is wrong with an order."""

    MISSING = "missing"
    """Booked by the ledger, not in SAP."""
    DOUBLED = "doubled"
    """More than once in SAP."""
    DIFFERENT = "different"
    """SAP holds something else than was sent, or than the ledger knows."""
    UNKNOWN = "unknown"
    """In SAP with a reference of ours, not in the ledger."""
    UNDER_WAY = "under way"
    """Being booked now: nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One order that is not as it should be, or is under way."""

    kind: Kind
    order_number: str
    sales_orders: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what was found."""

    orders: int
    sales_orders: int
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        """Whether anything is."""
        return any(finding.kind is not Kind.UNDER_WAY for finding in self.findings)


class ReadsLedger(Protocol):
    """See `Bookings`."""

    def between(self, first: date, last: date) -> Iterator[Booking]: ...
    def of(self, order_numbers: Collection[str]) -> dict[str, Booking]: ...
    def order_number(self, reference: str) -> str: ...


class ReadsSap(Protocol):
    """See `SapOrders`."""

    def between(self, first: date, last: date, sold_to: Collection[str]) -> Iterator[SapOrder]: ...
    def named(self, references: Collection[str], numbers: Collection[str]) -> Iterator[SapOrder]: ...


class Reconciliation:
    """Compares one ledger with one SAP.

    Args:
        bookings: of the ledger.
        sap: its sales orders.
        sold_to: customers for whom the mapping books now; those of the ledger are added.
        prefix: of our references; without one, ours look like order numbers of the shop.
        settle: for so long after a call SAP may still be booking.
    """

    def __init__(
        self, bookings: ReadsLedger, sap: ReadsSap, sold_to: Collection[str], prefix: str, settle: timedelta
    ) -> None:
        self._bookings = bookings
        self._sap = sap
        self._sold_to = frozenset(sold_to)
        self._prefix = prefix
        self._settle = settle

    def compare(self, first: date, last: date, now: datetime) -> Comparison:
        """All orders placed from `first` to `last`, both included.

        Raises:
            UnreadableError: SAP cannot be read.
            sqlalchemy.exc.SQLAlchemyError: the ledger cannot be read.
        """
        bookings = {booking.reference: booking for booking in self._bookings.between(first, last)}
        sold_to = self._sold_to | {as_in_sap(b.facts["sold_to"]) for b in bookings.values() if "sold_to" in b.facts}
        in_sap: dict[str, list[SapOrder]] = defaultdict(list)
        for order in self._sap.between(first, last, sold_to):
            if order.reference in bookings or self._is_ours(order.reference):
                in_sap[order.reference].append(order)
        suspects = [
            reference
            for reference in bookings.keys() | in_sap.keys()
            if self._judge(bookings.get(reference), in_sap.get(reference, ()), now)
        ]
        found = self._look_again(suspects, bookings, in_sap, now)
        return Comparison(len(bookings), sum(map(len, in_sap.values())), tuple(found))

    def _look_again(
        self,
        suspects: Sequence[str],
        bookings: Mapping[str, Booking],
        in_sap: Mapping[str, Sequence[SapOrder]],
        now: datetime,
    ) -> list[Finding]:
        known = {r: bookings[r].order_number if r in bookings else self._bookings.order_number(r) for r in suspects}
        fresh = self._bookings.of(known.values())
        numbers = {booking.number for booking in fresh.values() if booking.number}
        numbers |= {order.number for reference in suspects for order in in_sap.get(reference, ())}
        by_reference: dict[str, list[SapOrder]] = defaultdict(list)
        by_number: dict[str, SapOrder] = {}
        for order in self._sap.named(known.keys(), numbers):
            by_reference[order.reference].append(order)
            by_number[order.number] = order
        findings = []
        for reference, order_number in known.items():
            booking = fresh.get(order_number)
            found = by_reference[reference]
            renamed = by_number.get(booking.number or "") if booking else None
            if finding := self._judge(booking, found, now, renamed, order_number):
                findings.append(finding)
        return sorted(findings, key=lambda finding: (list(Kind).index(finding.kind), finding.order_number))

    def _is_ours(self, reference: str) -> bool:
        if self._prefix:
            return reference.startswith(self._prefix)
        return SHOPS_ORDER_NUMBER.fullmatch(reference) is not None

    def _judge(
        self,
        booking: Booking | None,
        found: Sequence[SapOrder],
        now: datetime,
        renamed: SapOrder | None = None,
        order_number: str = "",
    ) -> Finding | None:
        numbers = in_order([order.number for order in found])
        number = booking.order_number if booking else order_number
        if booking is None:
            return Finding(Kind.UNKNOWN, number, numbers, "not in the ledger") if found else None
        if booking.state == SENDING and self._is_under_way(booking, now):
            return Finding(Kind.UNDER_WAY, number, numbers, f"sent at {booking.last_sent_at:%Y-%m-%d %H:%M:%SZ}")
        if len(found) > 1:
            return Finding(Kind.DOUBLED, number, numbers, f"the ledger has {booking.number or 'none'}")
        if not found:
            return self._not_found(booking, renamed)
        detail = _difference(booking, found[0])
        return Finding(Kind.DIFFERENT, number, numbers, detail) if detail else None

    def _not_found(self, booking: Booking, renamed: SapOrder | None) -> Finding | None:
        if renamed is not None:
            detail = f"reference: {booking.reference} sent, {renamed.reference or 'none'} in SAP"
            return Finding(Kind.DIFFERENT, booking.order_number, (renamed.number,), detail)
        if booking.state == BOOKED:
            return Finding(Kind.MISSING, booking.order_number, (), f"booked as {booking.number}, not in SAP")
        if booking.state == SENDING:
            detail = f"sent at {booking.last_sent_at:%Y-%m-%d %H:%M:%SZ}, outcome unknown, not in SAP"
            return Finding(Kind.MISSING, booking.order_number, (), detail)
        return None  # waits, or was refused: nothing to find

    def _is_under_way(self, booking: Booking, now: datetime) -> bool:
        leased = booking.lease_until is not None and booking.lease_until > now
        return leased or (booking.last_sent_at is not None and now - booking.last_sent_at < self._settle)


_AS_IN_SAP: Mapping[str, Callable[[str], str]] = {
    "day": str,
    "organization": str.upper,
    "channel": str.upper,
    "division": str.upper,
    "sold_to": as_in_sap,
}
"""Facts that are compared, and how SAP writes what it was sent."""


def _difference(booking: Booking, order: SapOrder) -> str:
    """What SAP has otherwise than the ledger, `TG11: 2 sent, 3 in SAP`; empty: nothing."""
    if booking.state != BOOKED:
        return f"in SAP, but {'of unknown outcome' if booking.state == SENDING else booking.state} in the ledger"
    if booking.number != order.number:
        return f"the ledger has {booking.number}"
    sent = {name: _AS_IN_SAP[name](value) for name, value in booking.facts.items() if name in _AS_IN_SAP}
    changed = [(name, was, order.facts[name]) for name, was in sent.items() if was != order.facts[name]]
    if "items" in booking.facts:
        before, after = booking.facts["items"], order.facts["items"]
        materials = dict.fromkeys((*before, *after))
        changed += [(m, before.get(m), after.get(m)) for m in materials if before.get(m) != after.get(m)]
    return "; ".join(f"{name}: {was or 'none'} sent, {now or 'none'} in SAP" for name, was, now in changed)
