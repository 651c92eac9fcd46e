"""A TCP proxy that cuts connections, swallows what is sent, or does so when certain bytes go by."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK_BYTES = 65536
GREETING_PACKETS = 2
"""Where PostgreSQL's clients introduce themselves: the first one may only ask for TLS."""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without time: close() sends RST


@dataclass
class _Trigger:
    pattern: bytes
    arrives: bool
    skip: int
    among: bytes
    fired: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Between a client and `127.0.0.1:target_port`, on a free port of its own, or where it is told to listen."""

    def __init__(self, target_port: int, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(listen, backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._trigger: _Trigger | None = None
        self._requests_pass = threading.Event()
        self._answers_pass = threading.Event()
        self.pass_on()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection; new ones are served."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _reset(end)

    def swallow(self, *, requests: bool = True, answers: bool = True) -> None:
        """What is sent from now on is lost, while all connections stay open: a half-open link. Until `pass_on`."""
        if requests:
            self._requests_pass.clear()
        if answers:
            self._answers_pass.clear()

    def pass_on(self) -> None:
        """New bytes are passed on again. Connections that lost some are cut: TCP would never deliver a gap."""
        swallowed = not (self._requests_pass.is_set() and self._answers_pass.is_set())
        self._requests_pass.set()
        self._answers_pass.set()
        if swallowed:
            self.cut()

    def cut_at(self, pattern: bytes, *, arrives: bool, skip: int = 0, among: bytes = b"") -> threading.Event:
        """Cut the connection on which a client sends these bytes, once.

        Args:
            pattern: must lie within one send of the client.
            arrives: whether the server still gets them (its answer is lost), or not.
            skip: how many times they pass before.
            among: only on connections whose first two packets hold these bytes, where a client of PostgreSQL says who
                it is and which database it wants.

        Returns: an event that is set when it happened.
        """
        self._trigger = _Trigger(pattern, arrives, skip, among)
        return self._trigger.fired

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._lock:
            self._pairs.append((client, server))
        threading.Thread(target=self._pump, args=(server, client, self._answers_pass), daemon=True).start()
        self._pump(client, server, self._requests_pass, is_client=True)

    def _pump(
        self, source: socket.socket, sink: socket.socket, passes: threading.Event, *, is_client: bool = False
    ) -> None:
        greeting: list[bytes] = []
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                if is_client and len(greeting) < GREETING_PACKETS:
                    greeting.append(chunk)
                if is_client and (fatal := self._is_fatal(chunk, b"".join(greeting))):
                    _cut_at(fatal, chunk, source, sink)
                    return
                if passes.is_set():
                    sink.sendall(chunk)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            return
        _reset(sink)

    def _is_fatal(self, chunk: bytes, greeting: bytes) -> "_Trigger | None":
        with self._lock:
            trigger = self._trigger
            if trigger is None or trigger.pattern not in chunk or trigger.among not in greeting:
                return None
            if trigger.skip:
                trigger.skip -= 1
                return None
            self._trigger = None
            return trigger


def _cut_at(fatal: _Trigger, chunk: bytes, client: socket.socket, server: socket.socket) -> None:
    _reset(client)  # first: an answer must not come through
    if fatal.arrives:
        with suppress(OSError):
            server.sendall(chunk)
            server.shutdown(socket.SHUT_WR)  # no RST, which could overtake what was sent
    else:
        _reset(server)
    fatal.fired.set()


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    end.close()
