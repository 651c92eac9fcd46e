"""Group commit: the orders of many requests in one transaction, and what to do when it fails.

Each order's number and event exist before the commit, so the same batch can be run any number of times: an outcome
that is unknown (a connection cut before the answer) is settled by running it again.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from orders.model import PlacedOrder
from orders.store.outcomes import (
    Answer,
    BadRowError,
    Found,
    KeyReused,
    OutcomeUnknownError,
    Refused,
    RunAgainError,
    StoreUnavailableError,
)

BATCH_MAX = 256
SETTLE_S = 4.5
"""A commit is tried this long. Less than the five seconds that a request waits."""
PAUSE_S = 0.2


class Runner(Protocol):
    """One database's way to store a batch."""

    def run(self, batch: list[PlacedOrder], repeated: bool) -> list[Found]:
        """Store the orders and their events in one transaction; no two of them have the same key.

        A key that is known already gives the order stored under it. A number that is taken is replaced, in the list
        too. `repeated`: an earlier run of the same batch may have succeeded, so a number that is taken is our own.

        Raises:
            StoreUnavailableError, OutcomeUnknownError, RunAgainError, BadRowError: as they say.
        """

    def wake_relay(self) -> None:
        """Tell the relays that there is something in the outbox. Never fails."""

    def close(self) -> None:
        """Close all connections."""


class OrderStore:
    """Commits batches. Used by one thread at a time.

    Args:
        runner: of the database.
        on_unreachable: called when a commit with an unknown outcome cannot be run again for now.
    """

    def __init__(self, runner: Runner, on_unreachable: Callable[[], None] = lambda: None) -> None:
        self._runner = runner
        self._on_unreachable = on_unreachable

    def commit(self, batch: Sequence[PlacedOrder]) -> list[Answer]:
        """What became of each order, in their order. Takes at most about five seconds.

        Raises:
            StoreUnavailableError: nothing is stored.
            OutcomeUnknownError: unknown, in spite of trying for 4.5 s.
        """
        leaders, leader_of = _one_per_key(batch)
        found = self._settled(leaders)
        return [_answer(order, found[leader_of[index]], index, leader_of) for index, order in enumerate(batch)]

    def wake_relay(self) -> None:
        """Tell the relays, after the answers."""
        self._runner.wake_relay()

    def close(self) -> None:
        self._runner.close()

    def _settled(self, batch: list[PlacedOrder]) -> dict[str, Found | Refused]:
        numbers = [order.number for order in batch]  # a run may replace a number that is taken
        try:
            answers: Sequence[Found | Refused] = self._run_until_known(batch)
        except BadRowError as error:
            if len(batch) == 1:
                answers = [Refused(str(error))]
            else:  # one by one: the others must not suffer for it
                answers = [answer for order in batch for answer in self._settled([order]).values()]
        return dict(zip(numbers, answers, strict=True))

    def _run_until_known(self, batch: list[PlacedOrder]) -> list[Found]:
        deadline = time.monotonic() + SETTLE_S
        repeated = False
        while True:
            try:
                return self._runner.run(batch, repeated)
            except OutcomeUnknownError:
                if time.monotonic() > deadline:
                    raise
                if repeated:  # the first time again at once: most often only a connection was lost
                    time.sleep(PAUSE_S)
                repeated = True
            except RunAgainError as error:
                if time.monotonic() > deadline:
                    raise _given_up(repeated, str(error)) from error
            except StoreUnavailableError as error:
                if not repeated:
                    raise
                self._on_unreachable()
                if time.monotonic() + PAUSE_S > deadline:
                    raise _given_up(repeated, str(error)) from error
                time.sleep(PAUSE_S)


def _given_up(repeated: bool, reason: str) -> StoreUnavailableError | OutcomeUnknownError:
    return OutcomeUnknownError(reason) if repeated else StoreUnavailableError(reason)


def _one_per_key(batch: Sequence[PlacedOrder]) -> tuple[list[PlacedOrder], list[str]]:
    """The orders to store, and for each order of the batch the number of the one that stands for it."""
    leaders: list[PlacedOrder] = []
    by_key: dict[str, PlacedOrder] = {}
    leader_of: list[str] = []
    for order in batch:
        leader = order if order.idempotency_key is None else by_key.setdefault(order.idempotency_key, order)
        if leader is order:
            leaders.append(order)
        leader_of.append(leader.number)
    return leaders, leader_of


def _answer(order: PlacedOrder, found: Found | Refused, index: int, leader_of: list[str]) -> Answer:
    if isinstance(found, Refused) or order.idempotency_key is None:
        return found
    if found.request_hash != order.request_hash:
        return KeyReused()
    return found if leader_of[index] == order.number else found._replace(new=False)
