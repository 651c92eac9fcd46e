"""The rows of one claim on their way to the broker, and what became of each."""

import threading
from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A row of the outbox: one event, encoded."""

    id: int
    routing_key: str
    event_id: str
    body: bytes


class Batch:
    """Filled in by the link in the main thread, awaited by the claim in its own.

    It is settled when each row is confirmed, nacked or returned, or when the link was lost: what is in neither list
    then has an unknown fate and goes out again.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.confirmed: list[Row] = []
        self.refused: list[Row] = []
        self.lost = False
        self._open = len(rows)
        self._settled = threading.Event()

    def confirm(self, row: Row) -> None:
        """The broker has the row's message."""
        self.confirmed.append(row)
        self._count()

    def refuse(self, row: Row) -> None:
        """The broker nacked the row's message, or had no queue for it."""
        self.refused.append(row)
        self._count()

    def lose(self) -> None:
        """Nothing more will be heard: the link is gone, or the batch was never sent."""
        self.lost = True
        self._settled.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether the batch was settled within that time."""
        return self._settled.wait(timeout_s)

    def _count(self) -> None:
        self._open -= 1
        if self._open == 0:
            self._settled.set()
