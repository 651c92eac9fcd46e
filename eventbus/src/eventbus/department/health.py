"""The department's own HTTP server: `/healthz`, `/readyz`, `/metrics`, and what its providers add.

A greenlet answers it, not a worker: it does so while all workers are busy.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from nameko.extensions import SharedExtension
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.wrappers import Request, Response

from eventbus.department.consumer import Bus
from eventbus.department.http_server import HttpServer, listen
from eventbus.logs import get_logger
from eventbus.settings import SettingsError

log = get_logger(__name__)

Route = Callable[[Request], Response]


class Health(SharedExtension):
    """Serves on the settings' `health_host` and `health_port`."""

    bus = Bus()

    def setup(self) -> None:
        settings = self.container.config["settings"]
        try:
            self._socket = listen(settings.health_host, settings.health_port)
        except OSError as error:
            where = f"{settings.health_host}:{settings.health_port}"
            raise SettingsError(f"health_port: expected a free port, got: {where} ({error.strerror})") from error
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        self._routes: dict[str, Route] = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        for provider in self.container.dependencies:
            if hasattr(provider, "http_routes"):
                self._routes.update(provider.http_routes())
        self._server = HttpServer(self._socket, self._application)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self.stop()

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response: Any
        try:
            response = self._answer(Request(environ))
        except HTTPException as error:
            response = problem(error.code or 500, error.name, error.description or "")
        except Exception:
            log.exception("request failed", path=environ.get("PATH_INFO"))
            response = problem(500, InternalServerError().name, "The request failed; the log says why.")
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        route = self._routes.get(request.path)
        if route is None:
            return problem(404, "Not Found", f"There is nothing at {request.path}.")
        if request.method not in ("GET", "HEAD"):
            response = problem(405, "Method Not Allowed", "Only GET and HEAD are answered here.")
            response.headers["Allow"] = "GET, HEAD"
            return response
        return route(request)

    def _healthz(self, _request: Request) -> Response:
        return _json(200, {"status": "alive"})

    def _readyz(self, _request: Request) -> Response:
        ready, details = self.bus.condition()
        return _json(200 if ready else 503, {"status": "ready" if ready else "not ready", **details})

    def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def problem(status: int, title: str, detail: str, **more: Any) -> Response:
    """A problem details response (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(json.dumps(body, ensure_ascii=False), status=status, content_type="application/problem+json")


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, ensure_ascii=False), status=status, content_type="application/json")
