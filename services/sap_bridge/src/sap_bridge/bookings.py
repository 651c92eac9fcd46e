"""What the ledger says of past orders, for a comparison. Nothing is written."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from eventbus.department.ledger import Entry, Key, Ledger
from sqlalchemy.engine import Engine

from sap_bridge import schema

EVENT_TYPE = "order.created"
CLOCKS_DIFFER = timedelta(days=1)
"""By how much an order's row may be older than the order: clocks of shop and bridge."""
ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Booking:
    """One order, as the ledger has it."""

    order_number: str
    reference: str
    state: str
    number: str | None
    """SAP's, of a booked order."""
    last_sent_at: datetime | None
    lease_until: datetime | None
    facts: Mapping[str, Any]
    """What was sent, see `SalesOrder.facts`; empty where nothing was."""


class Bookings:
    """Reads the ledger.

    Args:
        engine: of the bridge's database.
        prefix: of customer references.
        zone: whose days the orders' dates are.
    """

    def __init__(self, engine: Engine, prefix: str, zone: ZoneInfo) -> None:
        self._engine = engine
        self._prefix = prefix
        self._zone = zone
        self._ledger = Ledger(schema.ledger)

    def between(self, first: date, last: date) -> Iterator[Booking]:
        """Bookings of orders placed from `first` to `last`, both included."""
        table = schema.ledger.c
        begin = datetime.combine(first, time(), self._zone) - CLOCKS_DIFFER
        statement = (
            schema.ledger.select()
            .where(table.created_at >= begin, table.event_type == EVENT_TYPE, table.copy == 1)
            .execution_options(yield_per=ROWS_AT_ONCE)
        )
        with self._engine.connect() as connection:
            for entry in self._ledger.entries(connection, statement):
                if first.isoformat() <= self._day(entry) <= last.isoformat():
                    yield self._booking(entry)

    def of(self, order_numbers: Collection[str]) -> dict[str, Booking]:
        """The bookings of these orders as they are now, by order number."""
        with self._engine.connect() as connection:
            entries = (self._ledger.get(connection, Key(number, EVENT_TYPE)) for number in order_numbers)
            return {entry.order_number: self._booking(entry) for entry in entries if entry is not None}

    def order_number(self, reference: str) -> str:
        """Of the order that has this customer reference."""
        return reference.removeprefix(self._prefix)

    def _day(self, entry: Entry) -> str:
        sent_day: str | None = entry.extra.get("day")
        return sent_day or entry.created_at.astimezone(self._zone).date().isoformat()

    def _booking(self, entry: Entry) -> Booking:
        reference = entry.extra.get("reference") or f"{self._prefix}{entry.order_number}"
        return Booking(
            entry.order_number,
            reference,
            entry.state,
            entry.reference,
            entry.last_sent_at,
            entry.lease_until,
            entry.extra,
        )
