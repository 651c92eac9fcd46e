"""The pytest plugin: a private broker and database for the tests of departments, as fixtures that mark their tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.testing import broker as brokers
from eventbus.testing import postgresql as servers

_BROKER_FIXTURES = {"broker", "broker_node"}
_DATABASE_FIXTURES = {"postgresql", "postgresql_server"}


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if fixtures & _BROKER_FIXTURES:
            item.add_marker(pytest.mark.broker)
        if fixtures & _DATABASE_FIXTURES or parameters.get("database_url") == "postgresql":
            item.add_marker(pytest.mark.database)


@pytest.fixture(scope="session")
def broker_node() -> Iterator[brokers.Node]:
    """A RabbitMQ node: that of `TEST_AMQP_URL` and `TEST_MANAGEMENT_URL`, or a private one."""
    with brokers.running_node() as node:
        yield node


@pytest.fixture
def broker(broker_node: brokers.Node) -> Iterator[brokers.Broker]:
    """A fresh virtual host of this test's own, without any of our objects."""
    with brokers.Broker(broker_node) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases can be made: `TEST_DATABASE_URL`, or a private one."""
    if named := os.environ.get("TEST_DATABASE_URL"):
        yield named
        return
    with servers.PostgreSQLServer() as server:
        yield server.url()


@pytest.fixture
def postgresql(postgresql_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    url = servers.create_database(postgresql_server)
    yield url
    servers.drop_database(postgresql_server, url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of this test's own: the test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return str(request.getfixturevalue("postgresql"))
