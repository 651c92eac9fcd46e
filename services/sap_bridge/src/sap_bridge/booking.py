"""One order, one sales order: the steps from an event to a booking, and what each end of them means.

    new → sending → booked
     ↑       ↓↑
     └── rejected

`sending` is committed before SAP is called and left only when the outcome is known. A row found in it may be booked:
SAP is asked, and booked again only if it shows nothing once the settle time has passed, because its work process may
commit after our time-out.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, Protocol, TypeVar

import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated
from eventbus.department.ledger import (
    DETAIL_CHARACTERS_MAX,
    NEW,
    Entry,
    Held,
    Key,
    LeaseLostError,
    Ledger,
    Settled,
    advisory_lock,
)
from eventbus.department.outcomes import Blocked, Done, Later, Outcome, Permanent, Transient
from eventbus.department.owner import new_owner
from eventbus.logs import get_logger
from sqlalchemy.engine import Connection, Engine

from sap_bridge import metrics
from sap_bridge.blame import EVERYBODYS, after_look_up, judged, needs_look_up
from sap_bridge.client import Answer, Found, SapClient, in_order
from sap_bridge.errors import Verdict
from sap_bridge.mapping import Mapping, MappingError, SalesOrder
from sap_bridge.redaction import redacted
from sap_bridge.settings import MARGIN_S

SENDING, BOOKED, REJECTED = "sending", "booked", "rejected"
FINAL_STATES = (BOOKED,)
"""A rejected order may be tried again: whoever redrives it has mended something."""
LEASE_MARGIN_S = 10.0
"""By which the lease outlives the handler, and clocks of two machines may differ."""
WAIT_S = 1.0
"""Until a row that another worker is about to finish is looked at again."""
HELD_LOOK_S = 5.0
"""Until a row that another worker holds is looked at again, which may be done long before its lease ends: one that lost
its connection to the broker books the order, but cannot report it. The repeat does.
"""
STAMP_S = 1.0
"""So old may the ledger's `last_sent_at` be when the request leaves: most requests need no second commit."""

log = get_logger(__name__)
Result = TypeVar("Result")


class Transactions(Protocol):
    """What runs our work in a transaction (`eventbus.department.Database` injects it)."""

    @property
    def engine(self) -> Engine:
        """Of the ledger's database."""

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work(connection)` returns, after its commit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of one booking, in seconds."""

    handler_s: float
    """The handler's limit: lease and deadline follow from it."""
    settle_s: float
    look_up_always: bool = False
    """Ask SAP also before the first booking of an order: the ledger was lost."""


class Booking:
    """Books orders through one client, with one ledger."""

    def __init__(
        self, client: SapClient, mapping: Mapping, ledger: Ledger, transactions: Transactions, limits: Limits
    ) -> None:
        self._client = client
        self._mapping = mapping
        self._ledger = ledger
        self._transactions = transactions
        self._limits = limits

    def book(self, event: Event[OrderCreated]) -> Outcome:
        """Done with SAP's number once the order is booked, now or earlier; Later while that cannot be told.

        Raises:
            Transient, Blocked, Permanent: as `errors.py` reads SAP's answer; Transient too without the database.
        """
        if (pause_s := self._client.pause_left_s()) > 0:
            return Later(pause_s, "SAP asked for a pause")
        if (away_s := self._client.away_s()) > 0:
            return Later(away_s, "the rate of calls is used up (SAP_MAX_RPS)")
        try:
            return self._claim_and_book(event)
        except LeaseLostError:
            # another worker finds in SAP what we may have done there
            log.warning("lease lost", order=event.data.order_number, event_id=event.id)
            return Later(WAIT_S, "another worker has taken over")
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise Transient(f"the ledger's database failed: {type(error).__name__}") from error

    def _claim_and_book(self, event: Event[OrderCreated]) -> Outcome:
        deadline = time.monotonic() + self._limits.handler_s - MARGIN_S
        key = Key(event.data.order_number, event.type)
        lease_s = self._limits.handler_s + LEASE_MARGIN_S
        owner = new_owner()
        claim = self._transactions.run(
            lambda connection: self._ledger.claim(connection, key, event.id, owner, lease_s, final_states=FINAL_STATES)
        )
        if isinstance(claim, Settled):
            return Done(claim.entry.reference, claim.entry.detail)
        if isinstance(claim, Held):
            return Later(min(claim.seconds_left + WAIT_S, HELD_LOOK_S), "another worker is booking this order")
        with advisory_lock(self._transactions.engine, key) as ours:
            if not ours:  # a worker whose lease ran out is still in its call
                self._release(claim.entry)
                return Later(self._limits.settle_s, "another worker's call of SAP has not ended")
            return self._book_claimed(claim.entry, event.data, deadline)

    def _book_claimed(self, entry: Entry, order: OrderCreated, deadline: float) -> Outcome:
        sales_order = self._sales_order(entry, order)
        if entry.last_sent_at is not None or self._limits.look_up_always:
            found = self._look_up(entry, sales_order, order, deadline)
            if found.numbers:
                metrics.FOUND_BY_LOOK_UP.inc()
                return self._booked(entry, sales_order, found.numbers)
            if (left_s := self._settle_left_s(entry)) > 0:
                self._release(entry)
                return Later(left_s, "SAP may still be booking this order")
        earlier = entry
        entry = self._sending(entry, sales_order)

        def stamp() -> None:
            nonlocal entry
            entry = self._stamped(entry)

        answer = self._client.create(sales_order, deadline, stamp)
        if answer.verdict is not Verdict.BOOKED or answer.number is None:
            if needs_look_up(answer):
                seen = self._find(entry, sales_order, deadline)
                if isinstance(seen, Found) and seen.numbers:  # of an earlier call, later than the settle time
                    return self._booked(entry, sales_order, seen.numbers)
                answer = after_look_up(answer, seen)
            self._not_booked(entry, order, answer)
        self._log_warnings(order, answer)
        numbers = self._numbers(earlier, sales_order, order, answer.number, deadline)
        return self._booked(entry, sales_order, numbers)

    def _stamped(self, entry: Entry) -> Entry:
        """The row as it has to be when the request leaves: the settle time counts from now, not from before a login or
        a wait for a slot; and it must still be ours.
        """
        now = self._ledger.clock()
        if entry.last_sent_at is not None and now - entry.last_sent_at < timedelta(seconds=STAMP_S):
            return entry
        return self._transactions.run(
            lambda connection: self._ledger.advance(connection, entry, SENDING, last_sent_at=now)
        )

    def _sales_order(self, entry: Entry, order: OrderCreated) -> SalesOrder:
        try:
            return self._mapping.sales_order(order)
        except MappingError as error:
            if entry.state == SENDING:  # the outcome of an earlier call stays open
                self._release(entry)
            else:
                self._advance(entry, REJECTED, detail=str(error)[:DETAIL_CHARACTERS_MAX])
            raise Permanent(str(error)) from error

    def _look_up(self, entry: Entry, sales_order: SalesOrder, order: OrderCreated, deadline: float) -> Found:
        found = self._find(entry, sales_order, deadline)
        if isinstance(found, Answer):
            self._release(entry)
            self._raise(found, redacted(f"look-up: {found.reason}", order.customer_name))
        return found

    def _find(self, entry: Entry, sales_order: SalesOrder, deadline: float) -> Found | Answer:
        # where it was sent to, though the mapping may have changed since
        sent = _facts(entry, sales_order)
        return self._client.find(sent["reference"], sent["sold_to"], sent["organization"], deadline)

    def _numbers(
        self, earlier: Entry, sales_order: SalesOrder, order: OrderCreated, number: str, deadline: float
    ) -> tuple[str, ...]:
        """The number of a booking that worked, and those that earlier calls have left behind; lowest first."""
        if earlier.last_sent_at is None:
            return (number,)
        found = self._find(earlier, sales_order, deadline)
        if isinstance(found, Answer):  # booked it is all the same
            reason = redacted(found.reason, order.customer_name)
            log.warning("booked again, not looked up for a duplicate", order=order.order_number, reason=reason)
            return (number,)
        return in_order({number, *found.numbers})

    def _booked(self, entry: Entry, sales_order: SalesOrder, numbers: tuple[str, ...]) -> Done:
        number, *others = numbers
        detail = None
        if others:
            metrics.DUPLICATES.inc()
            detail = f"possible duplicate: SAP also has {', '.join(others)}"[:DETAIL_CHARACTERS_MAX]
            log.error("possible duplicate in SAP", order=entry.order_number, sales_orders=numbers)
        try:
            booked = self._advance(entry, BOOKED, reference=number, detail=detail, extra=_facts(entry, sales_order))
        except Exception:
            # the next worker finds it in SAP
            log.warning("booked, but not in the ledger", order=entry.order_number, sales_order=number)
            raise
        return Done(booked.reference, booked.detail)

    def _settle_left_s(self, entry: Entry) -> float:
        if entry.state != SENDING or entry.last_sent_at is None:
            return 0.0  # the last call surely had no effect
        settled = entry.last_sent_at + timedelta(seconds=self._limits.settle_s)
        return (settled - self._ledger.clock()).total_seconds()

    def _sending(self, entry: Entry, sales_order: SalesOrder) -> Entry:
        now = self._ledger.clock()
        return self._transactions.run(
            lambda connection: self._ledger.advance(
                connection,
                entry,
                SENDING,
                attempt=entry.attempt + 1,
                first_sent_at=entry.first_sent_at or now,
                last_sent_at=now,
                extra=dict(entry.extra) | sales_order.facts(),
            )
        )

    def _log_warnings(self, order: OrderCreated, answer: Answer) -> None:
        for warning in answer.warnings:
            text = redacted(warning, order.customer_name)
            log.warning("SAP booked with a warning", order=order.order_number, warning=text)

    def _not_booked(self, entry: Entry, order: OrderCreated, answer: Answer) -> NoReturn:
        now = self._ledger.clock()
        judgement = judged(entry, answer, now, self._booked_since)
        answer = judgement.answer
        reason = redacted(answer.reason, order.customer_name)
        if answer.verdict is Verdict.UNKNOWN:  # the settle time counts from the end of the call
            changes: dict[str, Any] = {"last_sent_at": now}
        else:
            changes = {"detail": reason, "extra": judgement.extra, "reference": None}
        state = {Verdict.UNKNOWN: SENDING, Verdict.PERMANENT: REJECTED}.get(answer.verdict, NEW)
        self._advance(entry, state, **changes)
        self._raise(answer, reason)

    def _booked_since(self, moment: datetime) -> bool:
        table = self._ledger.table.c
        booked = sa.select(sa.literal(1)).where(
            table.state == BOOKED, table.updated_at > moment, table.last_sent_at > moment
        )
        return self._transactions.run(lambda connection: connection.scalar(booked.limit(1)) is not None)

    def _raise(self, answer: Answer, reason: str) -> NoReturn:
        if answer.verdict in EVERYBODYS:
            raise Blocked(reason)
        if answer.verdict is Verdict.PERMANENT:
            raise Permanent(reason)
        raise Transient(reason, retry_after=answer.retry_after_s)

    def _advance(self, entry: Entry, state: str, **changes: Any) -> Entry:
        return self._transactions.run(
            lambda connection: self._ledger.advance(connection, entry, state, release=True, **changes)
        )

    def _release(self, entry: Entry) -> None:
        self._transactions.run(lambda connection: self._ledger.release(connection, entry))


def _facts(entry: Entry, sales_order: SalesOrder) -> dict[str, Any]:
    """What was sent, as far as the ledger knows; else what would be."""
    return sales_order.facts() | dict(entry.extra)
