"""The store of a database URL."""

from collections.abc import Callable

from eventbus.database import parse_url

from orders.store.commit import OrderStore, Runner
from orders.store.postgresql import PostgresqlRunner
from orders.store.sqlite import SqliteRunner


def open_store(url: str, on_unreachable: Callable[[], None] = lambda: None) -> OrderStore:
    """A store for SQLite or PostgreSQL. Connects at its first commit."""
    runner: Runner = SqliteRunner(url) if parse_url(url).get_backend_name() == "sqlite" else PostgresqlRunner(url)
    return OrderStore(runner, on_unreachable)
