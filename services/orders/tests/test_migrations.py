"""The history of migrations gives the tables that the code works with."""

from multiprocessing import get_context

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from orders.store.tables import metadata

from eventbus import database


def test_migrated_database_has_the_tables_of_the_code(migrated: str) -> None:
    engine = database.create_engine(migrated)
    with engine.connect() as connection:
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"version_table": "orders_revision"}), metadata
            )
            == []
        )
    engine.dispose()


def test_four_processes_that_upgrade_at_once_all_succeed(database_url: str) -> None:
    with get_context("spawn").Pool(4) as pool:
        pool.starmap(database.upgrade, [(database_url, "orders")] * 4)


def test_database_of_a_newer_release_is_left_alone(migrated: str) -> None:
    engine = database.create_engine(migrated)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE orders_revision SET version_num = '9999'"))
    database.upgrade(migrated, "orders")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM orders_revision")) == "9999"
    engine.dispose()


def test_outbox_never_gives_an_id_twice(migrated: str) -> None:
    engine = database.create_engine(migrated)
    insert = sa.text("INSERT INTO outbox (routing_key, event_id, body) VALUES ('k', 'e', :body)")
    ids = []
    for _ in range(3):
        with engine.begin() as connection:
            connection.execute(insert, {"body": b"{}"})
            ids.append(connection.scalar(sa.text("SELECT id FROM outbox")))
            connection.execute(sa.text("DELETE FROM outbox"))
    engine.dispose()
    assert ids == sorted(set(ids))
