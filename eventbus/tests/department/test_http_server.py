"""The server of `/healthz`, `/readyz`, `/metrics` and of pages: clients that are slow, many or rude hold up nobody."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

PROGRAM = """
import sys
from eventbus.department import http_server
import eventlet
http_server.REQUEST_S, http_server.ANSWER_S, http_server.SWEEP_S = map(float, sys.argv[1:])

def application(environ, start_response):
    if environ["PATH_INFO"] == "/bug":
        raise KeyError("Daniel")
    body = [b"x" * 65536] * (800 if environ["PATH_INFO"] == "/large" else 1)
    start_response("200 OK", [("Content-Length", str(len(body) * 65536))])
    return body

listening = http_server.listen("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
http_server.HttpServer(listening, application).start()
eventlet.sleep(600)
"""
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CONNECTIONS_MAX = 100


class Server:
    """A server in a process of its own."""

    def __init__(self, stack: contextlib.ExitStack, *limits: float) -> None:
        self._stack = stack
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *map(str, limits)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stack.callback(self._end)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=30))
        connection.sendall(sent)
        return connection

    def said(self) -> str:
        self._process.kill()
        assert self._process.stderr is not None
        return self._process.stderr.read()

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def server(stack: contextlib.ExitStack) -> Server:
    return Server(stack, 600, 600, 1)


@pytest.mark.parametrize(
    ("situation", "sent"),
    [
        ("silent", b""),
        ("half a head", GET[:20]),
        ("between requests", GET),
        ("reads nothing", GET.replace(b" / ", b" /large ")),
        ("endless body", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nxx"),
    ],
)
def test_three_hundred_connections_keep_nobody_out(server: Server, situation: str, sent: bytes) -> None:
    for _ in range(3 * CONNECTIONS_MAX):
        server.connect(sent)
    assert server.connect(GET).recv(12) == b"HTTP/1.1 200"


def test_request_that_is_sent_byte_by_byte_is_cut_in_the_end(stack: contextlib.ExitStack) -> None:
    server = Server(stack, 0.5, 600, 0.1)
    connection = server.connect()
    connection.settimeout(0.1)
    received = None
    for byte in GET[:-1] * 20:
        with contextlib.suppress(TimeoutError):
            received = connection.recv(100)
            break
        try:
            connection.sendall(bytes([byte]))
        except ConnectionError:
            received = b""
            break
    assert received == b"", "cut without an answer"


def test_answer_that_is_not_read_is_cut_in_the_end(stack: contextlib.ExitStack) -> None:
    server = Server(stack, 600, 0.5, 0.1)
    slow = server.connect(GET.replace(b" / ", b" /large "))
    began = time.monotonic()
    while time.monotonic() - began < 1.5 and slow.recv(1):  # reads on, but far too slowly
        assert server.connect(GET).recv(12) == b"HTTP/1.1 200"
    size = 0
    with contextlib.suppress(ConnectionError):
        while part := slow.recv(1_000_000):
            size += len(part)
    assert size < 400 * 65536


def test_body_is_not_read_and_ends_the_connection(server: Server) -> None:
    answer = b""
    connection = server.connect(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + GET)
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in answer


def test_nothing_that_a_client_sends_or_that_fails_is_written_to_standard_error_or_answered(server: Server) -> None:
    answers = [
        server.connect(b"GET / HTTP/9 Daniel\r\n\r\n").recv(65536),
        server.connect(b"Daniel\r\n\r\n").recv(65536),
        server.connect(GET.replace(b" / ", b" /bug ")).recv(65536),
    ]
    assert answers[2].startswith(b"HTTP/1.1 500")
    assert b"Daniel" not in answers[2]
    assert server.said() == ""
