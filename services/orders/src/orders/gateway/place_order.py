"""`POST /orders`: a plain ASGI endpoint, because here a customer waits.

A framework's request, response and model machinery costs as much again as the order (55 µs of CPU an order bare,
77 under Starlette, 99 as a FastAPI route).
"""

from json.encoder import encode_basestring
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from orders.gateway import parsing, problems
from orders.gateway.committer import GroupCommitter
from orders.gateway.problems import Header, ProblemError
from orders.model import PlacedOrder, format_number, place
from orders.store.outcomes import Found, KeyReused

_JSON = (b"content-type", b"application/json")


class ClientGoneError(Exception):
    """The client closed the connection before its request was there."""


class Reply(NamedTuple):
    """The answer to one request; `number` with dashes where there is an order."""

    status: int
    headers: list[Header]
    body: bytes
    number: str | None = None


class PlaceOrder:
    """The endpoint. `answer` for those who send themselves, or as an ASGI application."""

    def __init__(self, committer: GroupCommitter, default_region: str) -> None:
        self._committer = committer
        self._default_region = default_region

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        """Handle a request; the reply that was sent, or None: the client has gone."""
        headers = parsing.RequestHeaders.read(scope["headers"])
        try:
            reply = await self._reply(headers, receive)
        except ProblemError as problem:
            body = problem.body()
            reply = Reply(problem.status, problem.headers(body), body)
        except ClientGoneError:
            return None
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})
        return reply

    async def _reply(self, headers: parsing.RequestHeaders, receive: Receive) -> Reply:
        if headers.declares_too_much():
            raise parsing.too_large()
        body = await _read_body(receive)
        key = headers.key()
        headers.check_body_type()
        request = parsing.parse_order(body, self._default_region)
        order = place(request, key, headers.trace())
        answer = await self._committer.submit(order)
        if isinstance(answer, Found):
            return _stored(order, answer)
        raise problems.key_reused() if isinstance(answer, KeyReused) else problems.internal_error()


async def _read_body(receive: Receive) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message["body"]
    if not message["more_body"]:
        if len(body) > parsing.BODY_BYTES_MAX:  # chunked, and arrived whole
            raise parsing.too_large()
        return body
    parts = [body]
    size = len(body)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        parts.append(message["body"])
        size += len(message["body"])
        if size > parsing.BODY_BYTES_MAX:
            raise parsing.too_large()
        if not message["more_body"]:
            return b"".join(parts)


def _stored(order: PlacedOrder, found: Found) -> Reply:
    number = format_number(found.number)
    body = (
        f'{{"order_number":"{number}","status":"received","customer_name":{encode_basestring(order.customer_name)},'
        f'"product_ids":{order.product_ids},"region":"{order.region}","created_at":"{found.created_at}"}}'
    ).encode()
    headers = [
        _JSON,
        (b"content-length", str(len(body)).encode()),
        (b"location", f"/orders/{number}".encode()),
    ]
    return Reply(201 if found.new else 200, headers, body, number)
