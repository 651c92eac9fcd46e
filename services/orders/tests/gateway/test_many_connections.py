"""Clients that hold connections and do nothing with them take no place from others."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eventbus.testing.waiting import wait_until
from orders.gateway import main

PLACES = 20
BODY = b'{"customer_name": "Daniel", "product_ids": [2]}'
POST = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
LARGE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def gateway(start_gateway: Callable[..., Any], sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(main, "CONNECTIONS_MAX", PLACES)
    monkeypatch.setattr(main, "ANSWER_S", 0.5)
    monkeypatch.setattr(main, "SWEEP_S", 0.1)
    return start_gateway(sqlite_url, message_timeout_s=60, drain_s=1).wait_for_database()


@pytest.fixture
def connect(gateway: Any) -> Iterator[Callable[[bytes], socket.socket]]:
    with contextlib.ExitStack() as stack:

        def connection(sent: bytes) -> socket.socket:
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=30))
            opened.sendall(sent)
            return opened

        yield connection


@pytest.mark.parametrize(
    ("situation", "sent", "answered"),
    [
        ("silent", b"", False),
        ("half a head", POST[:30], False),
        ("half a body", POST + BODY[:5], False),
        ("between requests", POST + BODY, True),
        ("reads nothing", LARGE, True),
    ],
)
def test_connections_beyond_the_limit_take_the_place_of_those_that_wait_longest(
    gateway: Any, connect: Callable[[bytes], socket.socket], situation: str, sent: bytes, answered: bool
) -> None:
    held = [connect(sent) for _ in range(3 * PLACES)]
    if answered and sent != LARGE:
        assert held[-1].recv(12) == b"HTTP/1.1 201"

    def is_open(connection: socket.socket) -> bool:
        connection.setblocking(False)
        try:
            while connection.recv(65536):
                pass
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        return False

    def another_is_answered_and_the_longest_waiting_are_closed() -> bool:
        assert connect(POST + BODY).recv(12) == b"HTTP/1.1 201"
        return sum(map(is_open, held)) < PLACES

    wait_until(another_is_answered_and_the_longest_waiting_are_closed, 30)


def test_answer_that_is_not_read_is_cut_in_the_end(gateway: Any, connect: Callable[[bytes], socket.socket]) -> None:
    size = int(gateway.client.get("/docs/swagger-ui-bundle.js").headers["content-length"])
    slow = connect(LARGE * 20)  # more than fits into the buffers between us

    def is_cut() -> bool:
        return gateway.client.get("/healthz").is_success and connections_of(gateway, slow) == 0

    wait_until(is_cut, what="the connection is gone")
    received = 0
    with contextlib.suppress(ConnectionError):
        while part := slow.recv(1_000_000):
            received += len(part)
    assert received < 20 * size


def connections_of(gateway: Any, client: socket.socket) -> int:
    """How many of the gateway's connections are with that client."""
    port = client.getsockname()[1]
    return sum(
        each.transport.get_extra_info("peername")[1] == port for each in list(gateway._server.server_state.connections)
    )
