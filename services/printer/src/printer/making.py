"""The slip of one row of the ledger: what stands on it, and what is special about this copy."""

from typing import Protocol

from eventbus.contract import OrderCreated
from eventbus.department import Transient
from eventbus.department.ledger import Entry

from printer.copies import Reprint, note_of
from printer.records import Records


class Slips(Protocol):
    """Makes slips, see `slip.SlipMaker`."""

    def render(self, order: OrderCreated, note: str | None = None, reprint: Reprint | None = None) -> bytes: ...


class UnmadeSlipError(Exception):
    """This slip cannot be made, and no other is concerned: what stands on it was erased or is illegible, or a bug. The
    text is one line without personal data, unlike that of its cause."""


def make_slip(entry: Entry, slips: Slips, records: Records) -> bytes:
    """The PDF. Raises UnmadeSlipError, and Transient while the database is away."""
    reprint = records.reprint_of(entry)
    try:
        return slips.render(records.order(entry), entry.detail or note_of(entry.copy, reprint), reprint)
    except Transient:  # of the database, and as true for every other slip
        raise
    except Exception as error:
        raise UnmadeSlipError(f"the slip cannot be made: {type(error).__name__}") from error
