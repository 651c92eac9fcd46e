"""Stored orders, announced departments, a broker without anything, and the command between them."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import pytest
from eventbus.contract import DepartmentLeft, OrderCreated, announcement
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker
from eventbus.testing.builders import a_result, an_announcement
from orders.model import OrderRequest, PlacedOrder, format_number, place
from orders.rebuild import command
from orders.relay.settings import RelaySettings
from orders.store.membership import keep_announcement
from orders.store.opening import open_store
from orders.store.progress import keep_reports

from eventbus import database, topology

PATTERNS = ("order.created.*",)


class Outcome(NamedTuple):
    """What a run ended with, and what it wrote."""

    code: int
    out: str
    err: str


class Shop:
    """An orders database as gateway and tracker leave it, and a broker that has nothing."""

    def __init__(self, url: str, broker: Broker) -> None:
        database.upgrade(url, "orders")
        self.url = url
        self.broker = broker
        self._engine = database.create_engine(url)
        self._store = open_store(url)

    def close(self) -> None:
        self._store.close()
        self._engine.dispose()

    def place(self, count: int = 1, *, at: str | None = None, region: str = "north") -> list[PlacedOrder]:
        """Orders as the gateway stores them, all in one millisecond where `at` is given; their outbox is sent."""
        placed = [place(OrderRequest("Daníel", [2, 4, 42], region)) for _ in range(count)]
        if at is not None:
            placed = [_at(order, at) for order in placed]
        self._store.commit(placed)
        with self._engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM outbox")
        return placed

    def announce(self, department: str, at: str, **fields: Any) -> None:
        """What the tracker keeps of a department's start."""
        event = an_announcement(department=department, time=datetime.fromisoformat(at), **fields)
        with self._engine.begin() as connection:
            keep_announcement(connection, event)

    def leave(self, department: str, at: str) -> None:
        with self._engine.begin() as connection:
            keep_announcement(
                connection, announcement(DepartmentLeft(department=department), datetime.fromisoformat(at))
            )

    def report(self, department: str, order: PlacedOrder, at: str) -> None:
        """What the tracker keeps of a department's `done`."""
        number, time = format_number(order.number), datetime.fromisoformat(at)
        with self._engine.begin() as connection:
            keep_reports(connection, [a_result(order_number=number, department=department, time=time)])

    def bind(self, department: str, patterns: tuple[str, ...] = PATTERNS) -> None:
        """What a department declares for itself."""
        self.broker.declare(topology.department(department, patterns))

    def delivered(self, department: str) -> list[str | None]:
        """The ids in the department's queue, in order; they are taken."""
        return [message.properties.message_id for message in self.broker.take_all(department)]


@pytest.fixture
def shop(database_url: str, broker: Broker) -> Iterator[Shop]:
    yield from _shop(database_url, broker)


@pytest.fixture
def sqlite_shop(sqlite_url: str, broker: Broker) -> Iterator[Shop]:
    yield from _shop(sqlite_url, broker)


def _shop(url: str, broker: Broker) -> Iterator[Shop]:
    shop = Shop(url, broker)
    yield shop
    shop.close()


@pytest.fixture
def rebuild(capsys: pytest.CaptureFixture[str], broker: Broker) -> Callable[..., Outcome]:
    """Runs the command in this process; other settings by name."""

    def run(shop: Shop, *arguments: str, **fields: Any) -> Outcome:
        settings = RelaySettings.model_validate(settings_of(shop) | fields)
        capsys.readouterr()
        code = command.run(settings, command.parse(["--management-url", broker.management_url, *arguments]))
        return Outcome(code, *capsys.readouterr())

    return run


def settings_of(shop: Shop) -> dict[str, Any]:
    return {
        "amqp_url": shop.broker.amqp_url,
        "database_url": shop.url,
        "tier_seconds": list(FAST_TIERS_S),
        "archive_bytes_max": SMALL_ARCHIVE_BYTES,
    }


def _at(order: PlacedOrder, moment: str) -> PlacedOrder:
    document = json.loads(order.body)
    document["time"] = document["data"]["created_at"] = moment
    OrderCreated.model_validate(document["data"])
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return order._replace(created_at=moment, body=body)
