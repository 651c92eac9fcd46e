"""The outermost ASGI application: sends `POST /orders` past the framework, counts and logs every answer."""

import time

from eventbus.logs import get_logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orders.gateway import problems
from orders.gateway.access_log import AccessLog
from orders.gateway.metrics import GatewayMetrics
from orders.gateway.place_order import PlaceOrder

ORDERS = "/orders"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

_log = get_logger(__name__)


class Front:
    """Everything of HTTP that uvicorn hands over."""

    def __init__(
        self, place_order: PlaceOrder, rest: ASGIApp, metrics: GatewayMetrics, access_log: AccessLog | None
    ) -> None:
        self._place_order = place_order
        self._rest = rest
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        began = time.perf_counter()
        if scope["method"] == "POST" and scope["path"] == ORDERS:
            await self._orders(scope, receive, send, began)
        else:
            await self._others(scope, receive, send, began)

    async def _orders(self, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        try:
            reply = await self._place_order.answer(scope, receive, send)
        except Exception:  # noqa: BLE001 - a bug: the last net before the server's plain text
            _log.exception("POST /orders failed because of a bug")
            await _send_internal_error(send)
            self._answered("POST", ORDERS, 500, began, None)
            return
        if reply is not None:
            self._answered("POST", ORDERS, reply.status, began, reply.number)

    async def _others(self, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status == 405:
                    message = {**message, "headers": _with_head(message["headers"])}
            await send(message)

        # the server leaves out the body of an answer to HEAD
        inner = dict(scope, method="GET") if scope["method"] == "HEAD" else scope
        try:
            await self._rest(inner, receive, noting)
        except Exception:  # noqa: BLE001 - a bug: the last net before the server's plain text
            if status == 0:
                await _send_internal_error(send)
            status = 500
            _log.exception("a request failed because of a bug", method=scope["method"])
        route = getattr(inner.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._answered(method, route, status, began, None)

    def _answered(self, method: str, route: str, status: int, began: float, number: str | None) -> None:
        seconds = time.perf_counter() - began
        self._metrics.answered(method, route, status, seconds)
        if self._access_log is not None:
            self._access_log.add(method, route, status, seconds, number)


async def _send_internal_error(send: Send) -> None:
    problem = problems.internal_error()
    body = problem.body()
    await send({"type": "http.response.start", "status": 500, "headers": problem.headers(body)})
    await send({"type": "http.response.body", "body": body})


def _with_head(headers: list[problems.Header]) -> list[problems.Header]:
    return [
        (name, value + b", HEAD") if name == b"allow" and b"GET" in value and b"HEAD" not in value else (name, value)
        for name, value in headers
    ]
