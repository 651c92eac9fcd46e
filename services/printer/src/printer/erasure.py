"""Erases what stands on slips: a customer's name is kept no longer than a reprint may need it.

The ledger's rows stay, so that an old event is not printed again; they name no person.
"""

from datetime import datetime

import sqlalchemy as sa
from eventbus.department.ledger import utcnow
from sqlalchemy.engine import Connection

from printer.records import ACCEPTED, FINAL, RunsTransactions
from printer.reprint import EVENT_TYPE, RefusedError, find_order
from printer.tables import ledger, reprints, slip_orders

ERASED_AT_ONCE_MAX = 500
"""In one transaction, so that slips are not kept waiting for it."""


def forget(transactions: RunsTransactions, order_number: str) -> tuple[str, bool]:
    """Erase what stands on the order's slip, and why it was reprinted. The order's number, and whether there was
    anything.

    Raises:
        RefusedError: this printer never had the order, or is about to print it.
    """

    def work(connection: Connection) -> tuple[str, bool]:
        number = find_order(connection, order_number)
        slips = [(number, EVENT_TYPE)]
        connection.execute(sa.select(slip_orders.c.order_number).where(_is_one_of(slips)).with_for_update())
        if connection.scalar(sa.select(sa.exists().where(_is_needed(), _is_one_of(slips)))):
            raise RefusedError(f"{number}: its slip is on its way: erase it when it is printed")
        return number, _erase(connection, slips) > 0

    return transactions.run(work)


def forget_older(transactions: RunsTransactions, before: datetime) -> int:
    """Erase what stands on slips that were made before then; how many, at most 500. Those on their way stay."""

    def work(connection: Connection) -> int:
        table = slip_orders.c
        due = (
            sa.select(table.order_number, table.event_type)
            .where(table.created_at < before, ~_is_needed())
            .order_by(table.created_at)
            .limit(ERASED_AT_ONCE_MAX)
            .with_for_update(skip_locked=True)
        )
        return _erase(connection, [(number, event_type) for number, event_type in connection.execute(due)])

    return transactions.run(work)


def _erase(connection: Connection, slips: list[tuple[str, str]]) -> int:
    """How many were erased of these, whose rows are locked. Somebody may have asked for a reprint just before."""
    if not slips:
        return 0
    table = slip_orders.c
    deletion = (
        slip_orders.delete().where(_is_one_of(slips), ~_is_needed()).returning(table.order_number, table.event_type)
    )
    erased = [(number, event_type) for number, event_type in connection.execute(deletion)]
    if erased:
        named = sa.tuple_(reprints.c.order_number, reprints.c.event_type).in_(erased)
        connection.execute(reprints.update().where(named).values(reason=""))
    return len(erased)


def _is_one_of(slips: list[tuple[str, str]]) -> sa.ColumnElement[bool]:
    return sa.tuple_(slip_orders.c.order_number, slip_orders.c.event_type).in_(slips)


def _is_needed() -> sa.ColumnElement[bool]:
    """Whether a copy may still be made from the row of `slip_orders` without its event: one that the printer has and
    may abort, one after the first, one that a worker is at. A first copy's event brings it again."""
    table = ledger.c
    is_in_hand = sa.or_(
        table.state == ACCEPTED, sa.and_(table.copy > 1, table.state.not_in(FINAL)), table.lease_until > utcnow()
    )
    return sa.exists().where(
        table.order_number == slip_orders.c.order_number, table.event_type == slip_orders.c.event_type, is_in_hand
    )
