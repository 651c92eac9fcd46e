"""Bounds for the connections of an HTTP server: how many there are, and how long each may keep us waiting.

Frameworks time each read, if anything: a client that sends a byte every few seconds, or never reads its answer, keeps
its place for ever, and a hundred of them keep everybody else out.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Connection = TypeVar("Connection")


class OpenConnections(Generic[Connection]):
    """The open connections of one server. May be used by several threads.

    Args:
        end: breaks a connection off, so that whoever reads from it or writes to it stops. Must not raise.
        count_max: places. A new connection always gets one, see `make_room`.
        request_s: how long a whole request may be awaited, idle time before it included.
        answer_s: how long a client may take to read an answer.
        clock: seconds.
    """

    def __init__(
        self,
        end: Callable[[Connection], None],
        *,
        count_max: int,
        request_s: float,
        answer_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._end = end
        self._count_max = count_max
        self._limits = (request_s, answer_s)
        self._clock = clock
        self._lock = threading.Lock()
        self._working: dict[Connection, float] = {}
        # since when, the longest first: each waits for the client
        self._requests: dict[Connection, float] = {}
        self._answers: dict[Connection, float] = {}
        self._places: dict[Connection, dict[Connection, float]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def awaits_request(self, connection: Connection) -> None:
        """It was opened, or its answer is sent."""
        self._put(connection, self._requests)

    def works(self, connection: Connection) -> None:
        """Its request is there: now it waits for us, with no limit."""
        self._put(connection, self._working)

    def answers(self, connection: Connection) -> None:
        """Its answer is being sent."""
        self._put(connection, self._answers)

    def closed(self, connection: Connection) -> None:
        """It is closed."""
        with self._lock:
            if (place := self._places.pop(connection, None)) is not None:
                del place[connection]

    def make_room(self) -> None:
        """Before another is taken: if all places are taken, end the connection whose request has been awaited longest,
        or, where all requests are there, the one that has been reading longest. Those that wait for us stay."""
        while (first := self._first_to_go()) is not None:
            self._end(first)
            self.closed(first)

    def end_overdue(self) -> None:
        """End those that have kept us waiting for too long. To be called every second or so."""
        now = self._clock()
        with self._lock:
            overdue = [
                connection
                for waiting, limit_s in zip((self._requests, self._answers), self._limits, strict=True)
                for connection, since in waiting.items()
                if now - since > limit_s
            ]
        for connection in overdue:
            self._end(connection)
            self.closed(connection)

    def _first_to_go(self) -> Connection | None:
        with self._lock:
            return next(iter(self._requests or self._answers), None) if len(self) >= self._count_max else None

    def _put(self, connection: Connection, place: dict[Connection, float]) -> None:
        with self._lock:
            if (before := self._places.get(connection)) is not None:
                del before[connection]
            self._places[connection] = place
            place[connection] = self._clock()
