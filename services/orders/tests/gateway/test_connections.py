"""Connections: slow clients, long heads, bodies that are too large, garbage, keep-alive."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BODY = b'{"customer_name": "Daniel", "product_ids": [2, 4, 42], "region": "north"}'
HEAD = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
def connect(shared_gateway: Any) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connection() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", shared_gateway.port), timeout=20))
        return opened[-1]

    yield connection
    for each in opened:
        each.close()


def answer(connection: socket.socket) -> tuple[int, dict[bytes, bytes], bytes]:
    """One answer with a Content-Length."""
    stream = connection.makefile("rb")
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get(b"content-length", 0)))


@pytest.mark.parametrize(
    ("situation", "sent"),
    [
        ("silence", b""),
        ("half a head", HEAD),
        ("no body", HEAD + LENGTH),
        ("half a body", HEAD + LENGTH + BODY[:10]),
        ("half a chunk", HEAD + CHUNKED + b"10\r\nabc"),
    ],
)
def test_client_that_does_not_finish_is_cut_and_holds_up_no_other(
    start_gateway: Callable[..., Any], sqlite_url: str, situation: str, sent: bytes
) -> None:
    gateway = start_gateway(sqlite_url, message_timeout_s=0.5).wait_for_database()
    slow = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in range(20)]
    for connection in slow:
        connection.sendall(sent)
    assert gateway.post().status_code == 201
    for connection in slow:
        assert connection.recv(1000) == b"", "cut without an answer"
        connection.close()


def test_connection_between_requests_is_kept_longer_than_a_request_may_take(
    start_gateway: Callable[..., Any], sqlite_url: str
) -> None:
    gateway = start_gateway(sqlite_url, message_timeout_s=0.3).wait_for_database()
    silent = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(HEAD + LENGTH + BODY)
        assert answer(connection)[0] == 201
        assert silent.recv(10) == b""  # opened earlier, never used: its time is over
        silent = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        assert silent.recv(10) == b""
        connection.sendall(HEAD + LENGTH + BODY)
        assert answer(connection)[0] == 201


@pytest.mark.parametrize("size", [65_537, 100_000, 3_000_000])
def test_body_over_64_kib_by_its_length_is_refused_and_the_connection_closed(shared_gateway: Any, size: int) -> None:
    response = shared_gateway.client.post("/orders", content=b" " * size, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert response.headers["content-type"] == "application/problem+json"


def test_announced_body_over_the_limit_is_refused_before_it_is_sent(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 10000000\r\n\r\n")
    assert answer(connection)[0] == 413
    assert connection.recv(10) == b""


@pytest.mark.parametrize(
    ("situation", "chunks"),
    [
        ("one chunk", [b" " * 65_537]),
        ("many chunks", [b" " * 1000] * 66),
        ("a valid order at the end", [b" " * 65_536, BODY]),
    ],
)
def test_chunked_body_over_64_kib_is_refused(
    connect: Callable[[], socket.socket], situation: str, chunks: list[bytes]
) -> None:
    connection = connect()
    connection.sendall(HEAD + CHUNKED + b"".join(map(chunk, chunks)) + b"0\r\n\r\n")
    status, headers, body = answer(connection)
    assert (status, json.loads(body)["status"], headers[b"connection"]) == (413, 413, b"close")
    assert connection.recv(10) == b""


def test_chunked_body_of_64_kib_is_an_order(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    padding = b" " * (65_536 - len(BODY))
    connection.sendall(HEAD + CHUNKED + chunk(padding[:1000]) + chunk(padding[1000:]) + chunk(BODY) + b"0\r\n\r\n")
    assert answer(connection)[0] == 201


def test_refused_body_leaves_the_connection_open(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    for refused in (b"{}", b"nonsense", b"[]"):
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(refused) + refused)
        assert answer(connection)[0] in (400, 422)
    connection.sendall(HEAD.replace(b"application/json", b"text/plain") + LENGTH + BODY)
    assert answer(connection)[0] == 415
    connection.sendall(b"PUT /orders HTTP/1.1\r\nHost: x\r\n" + LENGTH + BODY)
    assert answer(connection)[0] == 405
    connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\n" + LENGTH + BODY)
    assert answer(connection)[0] == 404
    connection.sendall(HEAD + LENGTH + BODY)
    assert answer(connection)[0] == 201


def test_pipelined_orders_are_answered_in_turn(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    one, other = (b'{"customer_name": "%b", "product_ids": [1]}' % name for name in (b"one", b"other"))
    connection.sendall(
        b"".join(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in (one, b"{}", other))
    )
    stream = b""
    while stream.count(b"HTTP/1.1") < 3 or b"other" not in stream:
        received = connection.recv(65536)
        assert received
        stream += received
    answers = stream.split(b"HTTP/1.1 ")[1:]
    assert [int(each[:3]) for each in answers] == [201, 422, 201]
    assert b'"one"' in answers[0]
    assert b'"other"' in answers[2]


@pytest.mark.parametrize(
    ("situation", "sent", "status"),
    [
        ("garbage", b"\x16\x03\x01 garbage\r\n\r\n", 400),
        ("two lengths", HEAD + b"Content-Length: 5\r\n" + LENGTH + BODY, 400),
        ("length and chunked", HEAD + b"Transfer-Encoding: chunked\r\n" + LENGTH + BODY, 400),
        ("bad chunk", HEAD + CHUNKED + b"zz\r\nabc\r\n", 400),
        ("negative length", HEAD + b"Content-Length: -1\r\n\r\n", 400),
        ("one endless header", HEAD + b"X: " + b"x" * 200_000, 431),
        ("one long header", HEAD + b"X: " + b"x" * 40_000 + b"\r\n" + LENGTH + BODY, 431),
        ("many headers", HEAD + b"X: x\r\n" * 300 + LENGTH + BODY, 431),
        ("a long path", b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_request_that_cannot_be_taken_is_refused_and_closed(
    shared_gateway: Any, situation: str, sent: bytes, status: int
) -> None:
    received = shared_gateway.raw(sent)
    assert received.startswith(b"HTTP/1.1 %d " % status), received[:200]
    assert received.count(b"HTTP/1.1") == 1


def test_100_headers_are_taken(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(HEAD + b"X: x\r\n" * 97 + LENGTH + BODY)
    assert answer(connection)[0] == 201


def test_client_that_leaves_before_its_body_stores_nothing(
    shared_gateway: Any, connect: Callable[[], socket.socket], rows: Callable[..., Any]
) -> None:
    before = rows(shared_gateway.database_url, "SELECT count(*) FROM orders")
    connections = [connect() for _ in range(20)]
    for connection in connections:
        connection.sendall(HEAD + LENGTH + BODY[:-1])
        connection.close()
    assert shared_gateway.client.get("/healthz").status_code == 200
    assert rows(shared_gateway.database_url, "SELECT count(*) FROM orders") == before


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
def test_offer_of_another_protocol_is_passed_over(connect: Callable[[], socket.socket], offer: bytes) -> None:
    """Java's HttpClient offers HTTP/2 with its first requests."""
    connection = connect()
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n" % offer
    for _ in range(2):
        connection.sendall(HEAD + upgrade + LENGTH + BODY)
        assert answer(connection)[0] == 201
        connection.sendall(HEAD + upgrade + LENGTH + BODY[:20])
        connection.sendall(BODY[20:])
        assert answer(connection)[0] == 201
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + upgrade + b"\r\n")
        assert answer(connection)[0] == 200


def test_connect_is_refused(shared_gateway: Any) -> None:
    assert shared_gateway.raw(b"CONNECT host:443 HTTP/1.1\r\nHost: host\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_http_1_0_and_expect_are_served(shared_gateway: Any) -> None:
    old = shared_gateway.raw(HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + LENGTH + BODY)
    assert b" 201 " in old.splitlines()[0]
    with socket.create_connection(("127.0.0.1", shared_gateway.port), timeout=20) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\n" + LENGTH)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(BODY)
        assert answer(connection)[0] == 201


def test_health_is_answered_while_orders_pour_in(shared_gateway: Any, post_many: Callable[..., Any]) -> None:
    order = {"customer_name": "D", "product_ids": [1]}
    answers: list[Any] = []
    pouring = threading.Thread(target=lambda: answers.extend(post_many(shared_gateway, [(order, None)] * 200)))
    pouring.start()
    while pouring.is_alive():
        assert shared_gateway.client.get("/healthz").status_code == 200
    assert {status for status, _ in answers} == {201}


def test_trailers_are_no_headers(connect: Callable[[], socket.socket]) -> None:
    """No check of heads in front of us has seen them."""
    body = chunk(BODY) + b"0\r\nIdempotency-Key: trailer\r\nContent-Type: text/plain\r\n\r\n"
    answers = []
    for _ in range(2):
        connection = connect()
        connection.sendall(HEAD + CHUNKED + body)
        answers.append(answer(connection))
    assert [status for status, _, _ in answers] == [201, 201]
    assert json.loads(answers[0][2])["order_number"] != json.loads(answers[1][2])["order_number"]


@pytest.mark.parametrize("trailer", [b"A: b\r\n" * 200_000, b"A: " + b"b" * 1_000_000])
def test_endless_trailers_end_the_connection(connect: Callable[[], socket.socket], trailer: bytes) -> None:
    connection = connect()
    with contextlib.suppress(ConnectionError):
        connection.sendall(HEAD + CHUNKED + chunk(BODY) + b"0\r\n" + trailer)
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    assert b" 400 " in received.partition(b"\r\n")[0]


def test_empty_lines_alone_do_not_keep_a_connection(start_gateway: Callable[..., Any], sqlite_url: str) -> None:
    gateway = start_gateway(sqlite_url, message_timeout_s=0.5).wait_for_database()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(b"\r\n")
        assert connection.recv(1000) == b""


def test_request_answered_before_its_end_leaves_the_connection_open_for_its_idle_time(
    start_gateway: Callable[..., Any], sqlite_url: str
) -> None:
    gateway = start_gateway(sqlite_url, message_timeout_s=0.3, keep_alive_s=2).wait_for_database()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\n" + LENGTH + BODY[:-1])
        assert answer(connection)[0] == 404
        connection.sendall(BODY[-1:])
        silent = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        assert silent.recv(10) == b"", "a request's time is over"
        silent.close()
        connection.sendall(HEAD + LENGTH + BODY)
        assert answer(connection)[0] == 201
        assert connection.recv(10) == b"", "the idle time is over"


def test_client_that_half_closes_gets_its_answer(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(HEAD + LENGTH + BODY)
    connection.shutdown(socket.SHUT_WR)
    assert answer(connection)[0] == 201
    assert connection.recv(10) == b"", "and is closed after it"
