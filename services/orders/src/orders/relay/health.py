"""`/healthz`, `/readyz` and `/metrics`, answered from native threads whatever the relay does."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

REQUEST_TIMEOUT_S = 10


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
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise AddressError(f"expected a free port, got {host}:{port}: {error.strerror}") from error
        self._server.daemon_threads = True
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


class _Handler(BaseHTTPRequestHandler):
    routes: dict[str, Callable[[], tuple[int, str, bytes]]]
    timeout = REQUEST_TIMEOUT_S
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        page = self.routes.get(self.path.partition("?")[0])
        status, content_type, body = page() if page else (404, "text/plain", b"no such page\n")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        """Say nothing: a probe every few seconds is no news."""
