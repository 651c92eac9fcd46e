"""Gateways on free ports of loopback, in this process but behind a real server, and a PostgreSQL to stop and start."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from eventbus.testing.postgresql import PostgreSQLServer
from eventbus.testing.waiting import wait_until
from orders.gateway.main import create_server
from orders.settings import GatewaySettings

from eventbus import database

AN_ORDER = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "north"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "own_postgresql" in fixtures:
            item.add_marker(pytest.mark.database)
        if "start_process" in fixtures:
            item.add_marker(pytest.mark.process)


class Gateway:
    """A gateway that listens."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database_url = settings.database_url
        self._server = create_server(settings)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def __enter__(self) -> "Gateway":
        self._thread.start()
        wait_until(lambda: self._server.started, what="the gateway listens")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive(), "the gateway did not end"

    def wait_for_database(self) -> "Gateway":
        wait_until(lambda: self.client.get("/readyz").json()["database"] == "up", what="the database is up")
        return self

    def post(self, order: Any = AN_ORDER, key: str | None = None, **fields: Any) -> httpx.Response:
        """Place that order, with other fields."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.client.post("/orders", json=order | fields, headers=headers)

    def place(self, **fields: Any) -> str:
        """The number of an order that was accepted."""
        response = self.post(**fields)
        assert response.status_code == 201, response.text
        return str(response.json()["order_number"])

    def metric(self, name: str) -> float:
        """The sum over all labels of that sample."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def raw(self, data: bytes, deadline_s: float = 10) -> bytes:
        """All that comes back on a connection that sends these bytes and then waits for the server to close it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=deadline_s) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))


async def _post_many(port: int, requests: list[tuple[dict[str, Any], str | None]]) -> list[tuple[int, dict[str, Any]]]:
    async def post(order: dict[str, Any], key: str | None) -> tuple[int, dict[str, Any]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = json.dumps(order).encode()
        header = "" if key is None else f"Idempotency-Key: {key}\r\n"
        writer.write(
            f"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{header}"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = await reader.read()
        writer.close()
        head, _, content = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(content)

    return await asyncio.gather(*(post(order, key) for order, key in requests))


@pytest.fixture
def post_many() -> Callable[..., list[tuple[int, dict[str, Any]]]]:
    """Places many orders at once, each on a connection of its own: status and body of each answer."""
    return lambda gateway, requests: asyncio.run(_post_many(gateway.port, requests))


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Starts gateways with these settings."""
    with ExitStack() as stack:
        yield lambda database_url, **settings: stack.enter_context(
            Gateway(GatewaySettings(database_url=database_url, access_log=False, **settings))
        )


@pytest.fixture
def gateway(start_gateway: Callable[..., Gateway], database_url: str) -> Gateway:
    """A gateway with an empty database, on SQLite and on PostgreSQL."""
    return start_gateway(database_url).wait_for_database()


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway on SQLite for all tests of a file."""
    url = f"sqlite:///{tmp_path_factory.mktemp('gateway') / 'orders.db'}"
    with Gateway(GatewaySettings(database_url=url, access_log=False)) as gateway:
        yield gateway.wait_for_database()


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server that the test may stop."""
    with PostgreSQLServer() as server:
        yield server


@pytest.fixture
def rows() -> Iterator[Callable[[str, str], list[Any]]]:
    """What a query finds in the database of that URL."""
    engines: dict[str, sa.Engine] = {}

    def query(url: str, sql: str) -> list[Any]:
        engine = engines.setdefault(url, database.create_engine(url, writes=False))
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    yield query
    for engine in engines.values():
        engine.dispose()


@pytest.fixture
def migrated(database_url: str) -> str:
    """The URL of a database with the current schema, on SQLite and on PostgreSQL."""
    database.upgrade(database_url, "orders")
    return database_url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'orders.db'}"
