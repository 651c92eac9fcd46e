"""The handler as nameko calls it, without a broker."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from eventbus.department import Done
from eventbus.department.ledger import Ledger
from eventbus.testing import an_event
from nameko.testing.services import worker_factory
from sap_bridge import metrics, schema
from sap_bridge.service import SalesOrders, SapBridgeService
from sap_sandbox.testing import RunningSandbox


@pytest.fixture
def sales_orders(sandbox: RunningSandbox, shipped: Callable[..., Any]) -> Iterator[SalesOrders]:
    provider = SalesOrders()
    provider.container = SimpleNamespace(config={"settings": shipped(SAP_URL=sandbox.url)})
    provider.setup()
    yield provider.get_dependency(None)
    provider.stop()


def test_order_created_is_done_with_saps_number(sales_orders: SalesOrders, transactions: Any) -> None:
    service = worker_factory(SapBridgeService, sales_orders=sales_orders, db=transactions)

    assert service.book_sales_order(an_event()) == Done("1")
    assert service.book_sales_order(an_event()) == Done("2")


def test_age_of_the_oldest_unknown_booking_is_measured(sales_orders: SalesOrders, transactions: Any) -> None:
    service = worker_factory(SapBridgeService, sales_orders=sales_orders, db=transactions)
    service.measure()
    assert metrics.OLDEST_UNKNOWN_SECONDS._value.get() == 0

    event, ledger = an_event(), Ledger(schema.ledger)
    transactions.after_commit_of["sending"] = SystemExit()
    with pytest.raises(SystemExit):
        service.book_sales_order(event)
    service.measure()

    assert metrics.OLDEST_UNKNOWN_SECONDS._value.get() > 0
    assert transactions.run(lambda connection: ledger.open_entries(connection, ["sending"], limit=2))


def test_migrations_make_the_table_that_the_code_uses(shipped: Callable[..., Any], database_url: str) -> None:
    import sqlalchemy as sa
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from eventbus import database

    database.upgrade(database_url, "sap_bridge")
    engine = database.create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "version_table": "sap_bridge_revision"}
        )
        assert compare_metadata(context, schema.metadata) == []
        assert sa.inspect(connection).get_indexes("ledger")
    engine.dispose()
