"""Ends waits for a frozen PostgreSQL server: psycopg's synchronous wait has no time-out of its own."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from eventbus.logs import get_logger
from sqlalchemy.engine import Connection

TICK_S = 0.25

_log = get_logger(__name__)


class Watchdog:
    """Shuts down the socket of a statement that takes longer than `limit_s`; its thread then gets an
    OperationalError, a quarter of a second late at most."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._deadlines: dict[int, float] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def guard(self, connection: Connection) -> Iterator[None]:
        """Watch the statements on that connection inside the block."""
        driver = connection.connection.driver_connection
        assert driver is not None
        descriptor: int = driver.fileno()
        with self._lock:
            self._deadlines[descriptor] = time.monotonic() + self.limit_s
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="database watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(descriptor, None)

    def close(self) -> None:
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(TICK_S):
            with self._lock:  # held over the shutdown: a guard that ends meanwhile must not free the descriptor
                now = time.monotonic()
                for descriptor in [each for each, deadline in self._deadlines.items() if now > deadline]:
                    del self._deadlines[descriptor]
                    _log.warning("the database does not answer, dropping the connection", seconds=self.limit_s)
                    _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        try:
            copy.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            _log.debug("the connection was gone already", reason=error.strerror)
