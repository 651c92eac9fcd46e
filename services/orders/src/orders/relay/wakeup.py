"""Hears that the gateway has committed. A hint only: losing all of them costs half a second each, no order."""

import threading
from collections.abc import Callable
from socket import AF_UNIX, SOCK_DGRAM, socket

import psycopg
from eventbus.database import POSTGRESQL_CONNECT_TIMEOUT_S, parse_url
from eventbus.logs import get_logger
from pika.adapters.select_connection import IOLoop

from orders.wakeup import CHANNEL, relay_socket

_LOOK_UP_S = 0.5
BACK_OFF_S = 1.0

log = get_logger(__name__)


class Listener:
    """PostgreSQL: a session of its own that LISTENs, on a thread of its own."""

    def __init__(self, url: str, hint: Callable[[], None]) -> None:
        self._url = parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._hint = hint
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def start(self) -> None:
        """Begin to listen. Does so again whenever the session is lost."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, within half a second unless it is just connecting."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                log.debug("not listening", reason=type(error).__name__)  # the claims report the database's absence
                self._stopping.wait(BACK_OFF_S)

    def _listen(self) -> None:
        with psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=POSTGRESQL_CONNECT_TIMEOUT_S,
            application_name="orders relay listener",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        ) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._hint()  # for what was committed while nobody listened
            while not self._stopping.is_set():
                for _ in connection.notifies(timeout=_LOOK_UP_S, stop_after=1):
                    self._hint()


class Doorbell:
    """SQLite: a datagram socket beside the database's file, read in the main loop."""

    def __init__(self, database_url: str, loop: IOLoop, hint: Callable[[], None]) -> None:
        self.path = relay_socket(database_url)
        self._loop = loop
        self._hint = hint
        self._socket: socket | None = None

    def start(self) -> None:
        """Begin to listen. Only for the relay that holds the file (`only_relay.py`)."""
        bell = socket(AF_UNIX, SOCK_DGRAM)
        try:
            self.path.unlink(missing_ok=True)
            bell.bind(str(self.path))
        except OSError as error:  # a path of more than 107 bytes, for example
            bell.close()
            log.warning("no wake-up", path=str(self.path), reason=str(error), consequence="events go out at each poll")
            return
        bell.setblocking(False)
        self._socket = bell
        self._loop.add_handler(bell.fileno(), self._on_ring, self._loop.READ)

    def stop(self) -> None:
        """Remove the socket."""
        if self._socket is not None:
            self._loop.remove_handler(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self.path.unlink(missing_ok=True)

    def _on_ring(self, *_: int) -> None:
        assert self._socket is not None
        try:
            while self._socket.recv(16):
                pass
        except BlockingIOError:
            self._hint()
