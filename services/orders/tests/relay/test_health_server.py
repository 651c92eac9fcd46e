"""The relay's health server: clients that are slow or many hold up nobody, and take no file handles away."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from eventbus.testing.waiting import wait_until
from orders.relay import health
from prometheus_client import CollectorRegistry

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

Connect = Callable[..., socket.socket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections to a health server of the test's own."""
    server = health.HealthServer("127.0.0.1", 0, CollectorRegistry(), healthy=lambda: True, ready=lambda: True)
    server.start()
    with contextlib.ExitStack() as stack:

        def connection(sent: bytes = b"") -> socket.socket:
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            opened.sendall(sent)
            return opened

        yield connection
    server.stop()


@pytest.mark.parametrize("sent", [b"", GET[:20], GET], ids=["silent", "half a head", "between requests"])
def test_three_hundred_connections_keep_nobody_out(connect: Connect, sent: bytes) -> None:
    threads = threading.active_count()
    for _ in range(300):
        connect(sent)
    assert connect(GET).recv(12) == b"HTTP/1.1 200"
    wait_until(
        lambda: threading.active_count() <= threads + health.CONNECTIONS_MAX, what="a limited number of threads is left"
    )


def test_request_that_is_sent_byte_by_byte_is_cut_in_the_end(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(health, "REQUEST_S", 0.3)
    slow: socket.socket = request.getfixturevalue("connect")()
    slow.settimeout(0.1)
    received = None
    with contextlib.suppress(ConnectionError):
        for _ in range(300):
            slow.sendall(b"G")
            with contextlib.suppress(TimeoutError):
                received = slow.recv(100)
                break
    assert not received, "cut without an answer"


def test_what_a_client_sends_is_not_written_to_standard_error(
    connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    assert connect(b"GET / HTTP/9 Daniel\r\n\r\n").recv(100)
    with connect(GET):
        pass  # gone before its answer
    assert connect(GET).recv(12) == b"HTTP/1.1 200"
    assert capfd.readouterr().err == ""
