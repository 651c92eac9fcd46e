"""uvicorn's HTTP protocol with the limits that it lacks: slow or silent clients, long heads."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, ClassVar, cast

import httptools
from eventbus.open_connections import OpenConnections
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orders.gateway.problems import ProblemError

HEAD_BYTES_MAX = 32_768
"""Of request line and headers together."""
HEADERS_MAX = 100
TRAILER_BYTES_MAX = 8_192
"""Behind a chunked body. Trailers are read and dropped: no check of heads in front of us has seen them."""
SINCE_BODY_BYTES_MAX = 524_288
"""That may come within a message without any part of its body: more than what is read at once."""
LINGER_S = 2.0
LINGER_BYTES_MAX = 4_194_304


class BoundedProtocol(HttpToolsProtocol):
    """Cuts a connection whose request is not there in time: one timer from the connection, or from a request's first
    byte, to its last one. (uvicorn itself waits for ever, also after SIGTERM.)"""

    message_timeout_s: ClassVar[float] = 10.0
    places: ClassVar["OpenConnections[BoundedProtocol]"]
    """Those of the server. Whoever keeps us waiting longest makes room where all places are taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._receiving = False
        self._is_working = False
        self._has_completed = False
        self._in_head = False
        self._head_bytes = 0
        self._head_too_large = False
        self._trailer_bytes = 0
        self._since_body = 0
        self._is_half_closed = False
        self._discarded: int | None = None
        self._data = b""
        self._without_upgrade: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.places.make_room()
        self.places.awaits_request(self)
        self._joined = _JoinedWrites(transport, self.loop, self._begin_answer, self._close)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.places.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._discarded is not None:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES_MAX:
                self.transport.close()
            return
        self._data = data
        self._since_body += len(data)
        self._has_completed = False
        super().data_received(data)
        if self.transport.is_closing() or self._discarded is not None:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:  # one endless header never reaches `on_header`
                self._head_too_large = True
                self.send_400_response("")
                return
        if self._receiving and self._since_body > SINCE_BODY_BYTES_MAX:  # one endless trailer, or chunk extension
            self.send_400_response("")
            return
        if self._receiving:
            if self._timer is None:
                self._start_timer()
        elif self._is_answering():
            self._stop_timer()
        elif self._has_completed:  # answered before its end, where uvicorn waits for ever
            self._stop_timer()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif self._timer is None:  # empty lines before a request count as one that is not complete
            self._start_timer()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all may still listen: keep the connection until it is answered."""
        self._is_half_closed = self._is_answering()
        return self._is_half_closed

    def _begin_answer(self) -> None:
        if self._is_working:
            self._is_working = False
            self.places.answers(self)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_answering():
            self.places.awaits_request(self)
        if self._is_half_closed and not self._is_answering():
            self._joined.close()

    def on_message_begin(self) -> None:
        self._receiving = self._in_head = True
        self._head_bytes = self._trailer_bytes = self._since_body = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > TRAILER_BYTES_MAX:
            raise ValueError("trailers too large")  # comes out of `feed_data` as a parser's error

    def on_body(self, body: bytes) -> None:
        self._since_body = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            self._without_upgrade = self._head_without_upgrade()
            return
        headers = self.headers
        head_bytes = len(self.url) + sum([len(name) + len(value) + 4 for name, value in headers])
        if len(headers) > HEADERS_MAX or head_bytes > HEAD_BYTES_MAX:
            self._head_too_large = True
            raise ValueError("head too large")  # comes out of `feed_data` as a parser's error, then `send_400_response`
        self._in_head = False
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, self._joined)

    def on_message_complete(self) -> None:
        if self._without_upgrade is not None:
            return
        self._receiving = False
        self._has_completed = True
        self._is_working = True
        self.places.works(self)
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """A client offers HTTP/2 or WebSocket (Java's HttpClient does so by default): read its request again without
        the offer. The parser takes such a request to have no body, and reads nothing after it. uvicorn calls this
        while it handles the parser's exception."""
        stopped = sys.exception()
        assert isinstance(stopped, httptools.HttpParserUpgrade)
        head, self._without_upgrade = self._without_upgrade, None
        assert head is not None
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + self._data[stopped.args[0] :])

    def _head_without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise ValueError("no proxy")  # comes out of `feed_data` as a parser's error, then `send_400_response`
        head = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                value = b"close" if b"close" in value.lower() else b"keep-alive"
            if name not in (b"upgrade", b"http2-settings"):
                head.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*head, b"\r\n"])

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed, in our form, and close the connection."""
        self._stop_timer()
        if self._may_answer():
            status, reason = (431, "Request Header Fields Too Large") if self._head_too_large else (400, "Bad Request")
            if self._head_too_large:
                msg = f"A request's head may have {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers at most."
            problem = ProblemError(status, msg, close=True)
            body = problem.body()
            head = [f"HTTP/1.1 {status} {reason}\r\n".encode()]
            head += [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *problem.headers(body))]
            self.transport.write(b"".join([*head, b"\r\n", body]))
        self._close()

    def _may_answer(self) -> bool:
        """Whether an answer written now would be taken for that of the request at fault."""
        if self._receiving and not self._in_head:
            return not self.cycle.response_started and not self.pipeline
        return self.cycle is None or self.cycle.response_complete

    def _close(self) -> None:
        """Close the connection; while a request still comes in, read on for a moment and discard it. (One closed over
        unread bytes is reset, and the client loses the answer with it.)"""
        if not self._receiving or self.transport.is_closing():
            self.transport.close()
        elif self._discarded is None:
            self._discarded = 0
            self.transport.write_eof()
            self._stop_timer()
            self._timer = self.loop.call_later(LINGER_S, self._too_slow)

    def end(self) -> None:
        """Break the connection off: it made us wait for too long."""
        self._stop_timer()
        self.transport.abort()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.message_timeout_s, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self.transport.close()


class _JoinedWrites:
    """Sends the head of an answer and its body together: uvicorn writes them one by one, which is two system calls
    and two packets (a tenth of the CPU of a small answer)."""

    __slots__ = ("_begin", "_close", "_flush_soon", "_held", "_loop", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        begin: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._begin = begin
        self._close = close
        self._held: bytes | None = None
        self._flush_soon: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        self._begin()
        if self._held is None:
            self._held = data
            self._flush_soon = self._loop.call_soon(self._flush)
        else:
            data, self._held = self._held + data, None
            self._cancel()
            self._transport.write(data)

    def close(self) -> None:
        self._cancel()
        self._flush()
        self._close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self._transport.is_closing():
            self._transport.write(held)

    def _cancel(self) -> None:
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
