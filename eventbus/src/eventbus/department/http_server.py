"""The HTTP server of a department's process: eventlet's, with the limits that it lacks."""

import contextlib
import functools
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

import eventlet
import eventlet.wsgi

from eventbus.open_connections import OpenConnections

CONNECTIONS_MAX = 100
READ_S = 10
"""For each read and write."""
REQUEST_S = 10.0
"""For a whole request, idle time before it included."""
ANSWER_S = 60.0
SWEEP_S = 1.0
BACKLOG = 512
"""With eventlet's 50, a burst of connections costs each client a second or more (a repeated SYN)."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def listen(host: str, port: int) -> Any:
    """A socket to serve on. Raises OSError where that is taken, or none of this machine's."""
    # eventlet's default, SO_REUSEPORT, lets two services share the port without an error
    return eventlet.listen((host, port), backlog=BACKLOG, reuse_port=False)


class HttpServer:
    """Serves a WSGI application on a listening socket. A connection that keeps us waiting has no claim to its place."""

    def __init__(self, listening: Any, application: Application) -> None:
        self._listening = listening
        self._application = application
        self._connections: OpenConnections[Any] = OpenConnections(
            _shut_down, count_max=CONNECTIONS_MAX, request_s=REQUEST_S, answer_s=ANSWER_S
        )

    def start(self) -> None:
        """Serve, in greenlets."""
        self._sweeping = eventlet.spawn(self._sweep)
        self._serving = eventlet.spawn(
            eventlet.wsgi.server,
            self._listening,
            self._application,
            custom_pool=_Pool(self._connections),
            protocol=functools.partial(_Protocol, self._connections),
            socket_timeout=READ_S,
            log=logging.getLogger("eventbus.health"),
            log_output=False,
            debug=False,  # else a traceback would be the answer to what the application did not catch
        )

    def stop(self) -> None:
        """Take no more connections."""
        self._sweeping.kill()
        self._serving.kill()
        self._listening.close()

    def _sweep(self) -> None:
        while True:
            eventlet.sleep(SWEEP_S)
            self._connections.end_overdue()


class _Pool(eventlet.GreenPool):
    """Greenlets for connections. The one that is made room for ends as soon as the hub turns."""

    def __init__(self, connections: OpenConnections[Any]) -> None:
        super().__init__(CONNECTIONS_MAX)
        self._connections = connections

    def spawn(self, function: Any, connection: list[Any], *args: Any, **kwargs: Any) -> Any:
        self._connections.make_room()
        self._connections.awaits_request(connection[1])
        return super().spawn(function, connection, *args, **kwargs)


class _Protocol(eventlet.wsgi.HttpProtocol):
    def __init__(self, connections: OpenConnections[Any], connection: list[Any], server: Any) -> None:
        self._connections = connections
        try:
            super().__init__(connection, server)  # which serves the whole connection
        finally:
            connections.closed(connection[1])

    def handle_one_request(self) -> None:
        self._connections.awaits_request(self.connection)
        super().handle_one_request()

    def handle_one_response(self) -> None:
        body = self.environ["eventlet.input"]
        if body.chunked_input or body.content_length:
            self.close_connection = 1  # nothing here takes a body: it is not read, however long it is
        self.application = self._timed(self.server.app)
        super().handle_one_response()

    def _timed(self, application: Application) -> Application:
        def timed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            self._connections.works(self.connection)
            try:
                return application(environ, start_response)
            finally:
                self._connections.answers(self.connection)

        return timed

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is BaseHTTPRequestHandler's
        """Say nothing: it would write what a client sent to standard error, past the log."""


def _shut_down(connection: Any) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)
