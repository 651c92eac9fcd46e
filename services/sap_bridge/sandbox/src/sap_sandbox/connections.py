"""Connections that can be broken on purpose, which no web framework offers: answers that never come, or by half."""

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Any, cast

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)
"""With this the kernel sends RST in place of FIN."""


class Ending(StrEnum):
    """How a connection is broken."""

    CLOSED = "closed"
    RESET = "reset"


class Connections:
    """The open connections of one server, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self, **options: Any) -> asyncio.Protocol:
        """uvicorn's HTTP protocol; its connection is here while it is open."""
        return _Protocol(self._transports, **options)

    def end(self, client: tuple[str, int], ending: Ending) -> None:
        """Break the connection: closed after what is written to it, or reset at once."""
        transport = self._transports.get(client)
        if transport is None:  # the client was quicker
            return
        if ending is Ending.RESET:
            connection: socket.socket = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
            transport.abort()
        else:
            transport.close()


class _Protocol(HttpToolsProtocol):
    def __init__(self, transports: dict[tuple[str, int], asyncio.Transport], **options: Any) -> None:
        super().__init__(**options)
        self._transports = transports
        self._peer: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = transport.get_extra_info("peername")[:2]
        self._transports[self._peer] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer is not None:
            self._transports.pop(self._peer, None)
        super().connection_lost(exc)


class BrokenOff(Response):
    """No answer: the connection ends."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """End the connection that the request came by."""
        await self._end(scope, receive)

    async def _end(self, scope: Scope, receive: Receive) -> None:
        connections: Connections = scope["app"].state.connections
        connections.end(cast("tuple[str, int]", tuple(scope["client"])), self._ending)
        while (await receive())["type"] != "http.disconnect":  # uvicorn would send a 500 before it knows
            pass


class CutShort(BrokenOff):
    """The answer's head and half of its body; then the connection is closed."""

    def __init__(self, whole: Response) -> None:
        super().__init__(Ending.CLOSED)
        self.status_code, self.body, self.raw_headers = whole.status_code, whole.body, whole.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half, then end the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await self._end(scope, receive)


class Server(uvicorn.Server):
    """A server whose end is announced to the application before its connections are waited for."""

    def __init__(self, config: uvicorn.Config, at_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._at_end = at_end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce the end, then drain."""
        self._at_end()
        await super().shutdown(sockets)


def server(app: Any, connections: Connections, at_end: Callable[[], None], **options: Any) -> Server:
    """A server of the application, whose connections are those. Options are uvicorn's."""
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", connections.protocol),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # would put another address in the place of the connection's
        lifespan="on",
        **options,
    )
    return Server(config, at_end)
