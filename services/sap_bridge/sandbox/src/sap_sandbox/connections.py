"""Connections that can be broken on purpose, which no web framework offers: answers that never come, or by half."""

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Any, cast

import uvicorn
from eventbus.open_connections import OpenConnections
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)
"""With this the kernel sends RST in place of FIN."""

CONNECTIONS_MAX = 1_000
REQUEST_S = 75.0
"""For a whole request, the idle time before it included: SAP closes an idle one after 60 s."""
ANSWER_S = 60.0
SWEEP_S = 1.0


class Ending(StrEnum):
    """How a connection is broken."""

    CLOSED = "closed"
    RESET = "reset"


class Connections:
    """The open connections of one server, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}
        self._places: OpenConnections[_Protocol] = OpenConnections(
            _Protocol.cut, count_max=CONNECTIONS_MAX, request_s=REQUEST_S, answer_s=ANSWER_S
        )

    def protocol(self, **options: Any) -> asyncio.Protocol:
        """uvicorn's HTTP protocol; its connection is here while it is open."""
        return _Protocol(self._transports, self._places, **options)

    def end_overdue(self) -> None:
        """Cut those whose client takes too long, which uvicorn waits for without end."""
        self._places.end_overdue()

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
    def __init__(
        self,
        transports: dict[tuple[str, int], asyncio.Transport],
        places: "OpenConnections[_Protocol]",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._transports = transports
        self._places = places
        self._peer: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._places.make_room()
        self._places.awaits_request(self)
        self._peer = transport.get_extra_info("peername")[:2]
        self._transports[self._peer] = transport

    def on_message_complete(self) -> None:
        self._places.works(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._places.awaits_request(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer is not None:
            self._transports.pop(self._peer, None)
        self._places.closed(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._places.answers(self)  # whoever waits from here on, waits for the client
        super().pause_writing()

    def cut(self) -> None:
        """End the connection."""
        self.transport.abort()


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

    def __init__(self, config: uvicorn.Config, connections: Connections, at_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._connections = connections
        self._at_end = at_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and watch the connections from then on."""
        await super().startup(sockets)
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce the end, then drain."""
        self._at_end()
        await super().shutdown(sockets)

    async def _sweep(self) -> None:
        while True:  # also during the drain, which a request sent by half would hold up for ever
            await asyncio.sleep(SWEEP_S)
            self._connections.end_overdue()


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
    return Server(config, connections, at_end)
