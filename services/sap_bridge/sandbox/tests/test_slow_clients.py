"""Clients that are slow or many hold up nobody."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from eventbus.testing.waiting import wait_until
from sap_sandbox import connections

PLACES = 20
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_BODY = b"POST /sap HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"

Open = Callable[[Any, bytes], socket.socket]


@pytest.fixture
def open_connection() -> Iterator[Open]:
    """Connects to a sandbox and sends that."""
    with contextlib.ExitStack() as stack:

        def opened(sandbox: Any, sent: bytes) -> socket.socket:
            host, port = sandbox.origin.removeprefix("http://").split(":")
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            connection.sendall(sent)
            return connection

        yield opened


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it; reads what has come."""
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", [b"", GET, HALF_A_BODY], ids=["silent", "between requests", "half a body"])
def test_connections_beyond_the_limit_take_the_place_of_those_that_wait_longest(
    start_sandbox: Callable[..., Any], open_connection: Open, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", PLACES)
    sandbox = start_sandbox()
    held = [open_connection(sandbox, sent) for _ in range(3 * PLACES)]
    assert requests.get(f"{sandbox.origin}/healthz", timeout=30).ok
    wait_until(lambda: sum(map(is_closed, held)) > 2 * PLACES, what="the longest waiting are closed")


@pytest.mark.parametrize("sent", [b"", HALF_A_BODY], ids=["silent", "half a body"])
def test_request_that_does_not_end_is_cut(
    start_sandbox: Callable[..., Any], open_connection: Open, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.5)
    monkeypatch.setattr(connections, "SWEEP_S", 0.1)
    slow = open_connection(start_sandbox(), sent)
    wait_until(lambda: is_closed(slow), what="the connection is cut")
