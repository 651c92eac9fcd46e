"""What people ask of the ledger: a slip once more, what became of an order's copies.

A reprint is a row: the running department finds it and prints it like any other copy.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from eventbus.contract.order import ORDER_NUMBER_CHARACTERS_MAX
from eventbus.department.ledger import Claimed, Entry, Ledger, utcnow
from eventbus.department.owner import new_owner
from sqlalchemy.engine import Connection

from printer.copies import Reprint
from printer.records import FINAL, RunsTransactions, reprint_among, reprints_of
from printer.tables import ledger as ledger_rows
from printer.tables import reprints, slip_orders

EVENT_TYPE = "order.created"
REASON_CHARACTERS_MAX = 80
LEASE_S = 5.0
"""Only for the moment in which the row is made."""


class RefusedError(Exception):
    """What a person asked for cannot be done. The text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a slip, and the reprint that it was made for."""

    entry: Entry
    reprint: Reprint | None


@dataclass(frozen=True, slots=True)
class Copies:
    """All copies of an order's slip, by number."""

    order_number: str
    copies: tuple[Copy, ...]
    kept_since: datetime | None
    """Since when what stands on the slip is kept; None: it was erased."""


def ask_for_reprint(transactions: RunsTransactions, order_number: str, reason: str) -> Entry:
    """Let the running department print the order's slip once more; the row of the new copy.

    Args:
        order_number: with or without dashes, in upper or lower case.
        reason: stands on the slip; one line of at most 80 characters.

    Raises:
        RefusedError: no slip of that order, one that is still on its way, one that was erased, or no good reason.
    """
    reason = checked_reason(reason)
    now = utcnow()

    def work(connection: Connection) -> Entry:
        found = _copies(connection, order_number, lock=True)
        newest = found.copies[-1].entry
        if newest.state not in FINAL:
            raise RefusedError(
                f"{found.order_number}: copy {newest.copy} is not finished yet ({newest.state}"
                f"{f', {newest.reference}' if newest.reference else ''})"
            )
        if found.kept_since is None:
            raise RefusedError(f"{found.order_number}: what stood on its slip was erased")
        ledger = Ledger(ledger_rows)
        key = newest.key._replace(copy=newest.copy + 1)
        claim = ledger.claim(connection, key, newest.cause_id, new_owner(), LEASE_S, final_states=FINAL)
        if not (isinstance(claim, Claimed) and claim.fresh):
            raise RefusedError(f"{found.order_number}: somebody else has just asked for copy {key.copy}")
        connection.execute(reprints.insert().values(**key._asdict(), reason=reason, asked_at=now))
        ledger.release(connection, claim.entry)
        return claim.entry

    return transactions.run(work)


def copies_of(transactions: RunsTransactions, order_number: str) -> Copies:
    """The copies of that order's slip. Raises RefusedError where there is none."""
    return transactions.run(lambda connection: _copies(connection, order_number))


def checked_reason(reason: str) -> str:
    """The reason without white space around it. Raises RefusedError for one that does not fit on the slip."""
    reason = unicodedata.normalize("NFC", reason.strip())
    if not 1 <= len(reason) <= REASON_CHARACTERS_MAX:
        raise RefusedError(f"the reason: expected 1 to {REASON_CHARACTERS_MAX} characters, got {len(reason)}")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in reason):
        raise RefusedError("the reason: expected one line, got line breaks or control characters")
    return reason


def find_order(connection: Connection, order_number: str) -> str:
    """The number as the ledger has it. Raises RefusedError for one of which no slip was ever made."""
    given = order_number.strip()
    if not (given.isascii() and given.replace("-", "").isalnum() and len(given) <= ORDER_NUMBER_CHARACTERS_MAX):
        raise RefusedError("expected an order number such as 7KQ2-M9XD-4TWE")
    found: str | None = connection.scalars(
        sa.select(ledger_rows.c.order_number)
        .where(ledger_rows.c.order_number.in_({given, _as_read(given)}), ledger_rows.c.event_type == EVENT_TYPE)
        .limit(1)
    ).one_or_none()
    if found is None:
        raise RefusedError(f"{_as_read(given)}: this printer never had it")
    return found


def _as_read(number: str) -> str:
    """An order number of the shop as it is meant: case, dashes, I, L and O are forgiven as in the shop's API."""
    bare = number.upper().replace("-", "").translate(str.maketrans("ILO", "110"))
    return "-".join((bare[:4], bare[4:8], bare[8:])) if len(bare) == 12 else number


def _copies(connection: Connection, order_number: str, *, lock: bool = False) -> Copies:
    """`lock`: nobody erases what stands on the slip until the transaction ends."""
    number = find_order(connection, order_number)
    kept = sa.select(slip_orders.c.created_at).where(
        slip_orders.c.order_number == number, slip_orders.c.event_type == EVENT_TYPE
    )
    kept_since = connection.scalars(kept.with_for_update() if lock else kept).one_or_none()
    entries = Ledger(ledger_rows).copies(connection, number, EVENT_TYPE)
    asked = reprints_of(connection, entries[0].key)
    return Copies(number, tuple(Copy(entry, reprint_among(asked, entry.copy)) for entry in entries), kept_since)
