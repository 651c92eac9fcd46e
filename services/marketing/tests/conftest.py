"""Databases with the department's tables, and a short way to count and to read."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from eventbus.contract import Event, OrderCreated
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import DepartmentProcess
from eventbus.testing.postgresql import PostgreSQLServer
from marketing.book import open_book
from marketing.period import GroupBy, Period
from marketing.stats import read_stats
from sqlalchemy.engine import Connection, Engine

from eventbus import database

BERLIN = "Europe/Berlin"


class Shop:
    """A database that counts in one time zone."""

    def __init__(self, engine: Engine, timezone: str) -> None:
        self.engine = engine
        self.zone = ZoneInfo(timezone)

    def run(self, work: Callable[[Connection], Any]) -> Any:
        """What `work` returns, after its commit."""
        with self.engine.begin() as connection:
            return work(connection)

    def count(self, *events: Event[OrderCreated]) -> int:
        """Counts the events as one batch, and returns how many were new."""
        counted: int = self.run(lambda connection: open_book(connection, self.zone.key, None).count(connection, events))
        return counted

    def stats(self, first: str, last: str, group_by: GroupBy = "day") -> dict[str, Any]:
        """What the department would answer."""
        period = Period(date.fromisoformat(first), date.fromisoformat(last))
        stats: dict[str, Any] = self.run(lambda connection: read_stats(connection, period, group_by, self.zone))
        return stats

    def table(self, first: str, last: str, group_by: GroupBy) -> dict[Any, Sequence[int]]:
        """The groups with an order, by key: orders, items, customers, and new ones where they are counted."""
        groups = self.stats(first, last, group_by)["groups"]
        return {key: tuple(numbers) for key, *numbers in (group.values() for group in groups) if numbers[0]}

    def everything(self) -> list[dict[str, Any]]:
        """Every number of the year 2026, in each grouping."""
        return [self.stats("2026-01-01", "2026-12-31", group_by) for group_by in get_args(GroupBy)]


@pytest.fixture
def shop_in(database_url: str) -> Iterator[Callable[[str], Shop]]:
    """A shop in that time zone, on SQLite and on PostgreSQL."""
    database.upgrade(database_url, "marketing")
    engine = database.create_engine(database_url)
    yield lambda timezone: Shop(engine, timezone)
    engine.dispose()


@pytest.fixture
def shop(shop_in: Callable[[str], Shop]) -> Shop:
    """A shop in Berlin."""
    return shop_in(BERLIN)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that start what takes a while."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "start_marketing" in fixtures:
            item.add_marker(pytest.mark.process)
        if "own_postgresql" in fixtures:
            item.add_marker(pytest.mark.database)


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server that the test may stop."""
    with PostgreSQLServer() as server:
        yield server


@pytest.fixture
def start_marketing(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., DepartmentProcess]]:
    """Starts the department as a process of its own; settings as keywords."""
    started: list[DepartmentProcess] = []
    broker.declare_shared()

    def start(**settings: Any) -> DepartmentProcess:
        defaults = {"department": "marketing", "database_url": f"sqlite:///{tmp_path / 'marketing.db'}"}
        process = DepartmentProcess(
            broker, "marketing.service:MarketingService", tmp_path / "marketing", defaults | settings
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()
