"""A department's transactions on PostgreSQL."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.department import database as department_database
from eventbus.department.database import Database, Transactions
from sqlalchemy.engine import Connection

ROW = sa.text("SELECT version_num FROM orders_revision FOR UPDATE")


@pytest.fixture
def transactions(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transactions]:
    monkeypatch.setattr(department_database, "IDLE_IN_TRANSACTION_S", 1)
    settings = SimpleNamespace(database_url=postgresql, max_workers=2, department="orders")
    provider: Any = Database("orders")
    provider.container = SimpleNamespace(config={"settings": settings})
    provider.setup()
    yield provider.get_dependency(None)
    provider.stop()


def test_worker_that_stands_still_in_its_transaction_keeps_nobody_waiting(transactions: Transactions) -> None:
    def take_row(connection: Connection) -> str:
        connection.execute(sa.text("SET LOCAL lock_timeout = '20s'"))
        return str(connection.scalar(ROW))

    with transactions.engine.connect() as frozen:
        held = frozen.scalar(ROW)

        assert transactions.run(take_row) == held

        with pytest.raises(sa.exc.DBAPIError, match="idle-in-transaction"):
            frozen.scalar(ROW)
