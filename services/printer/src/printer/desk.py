"""What printing works with, as a worker gets it injected."""

from dataclasses import dataclass
from typing import Literal, Protocol

from printer.making import Slips
from printer.records import RunsTransactions


class Reports(Protocol):
    """Publishes results, see `eventbus.department.Results`."""

    def publish(
        self,
        *,
        order_number: str,
        cause_id: str,
        cause_type: str,
        state: Literal["done", "attention", "waiting"],
        reference: str | None = None,
        detail: str | None = None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """The database, the maker of slips, and the way to report."""

    transactions: RunsTransactions
    slips: Slips
    results: Reports
