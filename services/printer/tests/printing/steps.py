"""What a department does with an order, step by step."""

from collections.abc import Callable
from typing import Any

from eventbus.contract import Event, OrderCreated
from eventbus.department import Later, Transient
from eventbus.department.ledger import Entry, Key, Ledger
from eventbus.testing.waiting import wait_until
from printer.desk import Desk
from printer.ipp_access import Access
from printer.ipp_client import IppPrinter
from printer.ipp_queue import IppQueue
from printer.tables import ledger as ledger_rows

A4 = "iso_a4_210x297mm"
DEADLINE_S = 30.0


def a_queue(uri: str, window: int = 20, access: Access | None = None, **options: Any) -> IppQueue:
    """A printer as a department has it."""
    return IppQueue(IppPrinter(uri, 8, access or Access()), window=window, media=A4, **options)


def print_until_in_hand(queue: IppQueue, event: Event[OrderCreated], desk: Desk) -> Any:
    """What a department does with an event: again and again until it is acknowledged."""

    def attempt() -> Any:
        try:
            outcome = queue.print_once(event, desk)
        except Transient:
            return None
        return None if isinstance(outcome, Later) else outcome

    return wait_until(attempt, DEADLINE_S, what="the slip is in hand")


def follow_until(queue: IppQueue, desk: Any, state: str, *order_numbers: str) -> dict[str, Any]:
    """Follows until that state is reported for all these orders; the last report."""

    def reported() -> bool:
        queue.follow(desk)
        return all(state in desk.results.states(number) for number in order_numbers)

    wait_until(reported, DEADLINE_S, what=f"{state} is reported")
    report: dict[str, Any] = desk.results.published[-1]
    return report


def row(desk: Desk, order_number: str, copy: int = 1) -> Entry:
    """The slip's row."""
    key = Key(order_number, "order.created", copy)
    entry = desk.transactions.run(lambda connection: Ledger(ledger_rows).get(connection, key))
    assert entry is not None
    return entry


class Killed(BaseException):
    """The process was killed here."""


class DyingTransactions:
    """Lets so many transactions through; then the process is dead, before or after the commit."""

    def __init__(self, inner: Any, transactions_left: int, *, after_commit: bool) -> None:
        self._inner = inner
        self._left = transactions_left
        self._after_commit = after_commit
        self.died = False

    def run(self, work: Callable[[Any], Any]) -> Any:
        if self._left == 0 and self._after_commit and not self.died:
            self._inner.run(work)
        if self._left == 0:
            self.died = True
            raise Killed
        self._left -= 1
        return self._inner.run(work)
