"""`/healthz`, `/readyz` and `/metrics`, answered from native threads whatever the relay does."""

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from eventbus.logs import get_logger
from eventbus.open_connections import OpenConnections
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONNECTIONS_MAX = 50
"""Each has a thread."""
READ_TIMEOUT_S = 10
"""For each read and write."""
REQUEST_S = 10.0
"""For a whole request, idle time before it included."""
ANSWER_S = 30.0

_log = get_logger(__name__)


class AddressError(Exception):
    """The server cannot listen there. The text is one line: expected, got."""


class HealthServer:
    """Listens as soon as it is made, and answers once it is started.

    Raises:
        AddressError: the address is in use, or none of this machine's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        *,
        healthy: Callable[[], bool],
        ready: Callable[[], bool],
    ) -> None:
        def metrics() -> tuple[int, str, bytes]:
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)

        pages = {"/healthz": _verdict(healthy), "/readyz": _verdict(ready), "/metrics": metrics}

        class Handler(_Handler):
            routes = pages

        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise AddressError(f"expected a free port, got {host}:{port}: {error.strerror}") from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()


def _verdict(holds: Callable[[], bool]) -> Callable[[], tuple[int, str, bytes]]:
    def page() -> tuple[int, str, bytes]:
        return (200, "text/plain", b"ok\n") if holds() else (503, "text/plain", b"no\n")

    return page


class _Server(ThreadingHTTPServer):
    """A thread for each connection, of which there is a limited number: without one, clients that say nothing take all
    file handles, and the relay can neither reach its broker nor its database."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: "type[_Handler]") -> None:
        self.connections: OpenConnections[socket.socket] = OpenConnections(
            _shut_down, count_max=CONNECTIONS_MAX, request_s=REQUEST_S, answer_s=ANSWER_S
        )
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.make_room()
        self.connections.awaits_request(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.closed(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:  # every half second
        self.connections.end_overdue()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's names
        """Log what is no client's doing. (The standard library prints a traceback for each that has gone.)"""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a health request failed because of a bug")


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    routes: dict[str, Callable[[], tuple[int, str, bytes]]]
    server: _Server
    timeout = READ_TIMEOUT_S
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.server.connections.awaits_request(self.connection)
        super().handle_one_request()

    def do_GET(self) -> None:
        self.server.connections.answers(self.connection)
        page = self.routes.get(self.path.partition("?")[0])
        status, content_type, body = page() if page else (404, "text/plain", b"no such page\n")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        """Say nothing: a probe every few seconds is no news."""
