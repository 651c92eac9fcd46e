"""The database's revisions: they end at the tables, and keep what was counted."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from eventbus.testing.builders import an_event
from marketing.tables import BY_PREVIOUS_DAY, metadata

from eventbus import database


def test_migration_and_tables_agree(database_url: str) -> None:
    database.upgrade(database_url, "marketing")
    database.upgrade(database_url, "marketing")
    engine = database.create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "marketing_revision"})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_numbers_of_products_outlive_the_change_from_months_to_running_totals(shop: Any, database_url: str) -> None:
    first = an_event().data.created_at - timedelta(100)
    shop.count(
        *(
            an_event(
                customer_name=f"Customer {number % 3}",
                product_ids=(1, 1 + number % 4),
                created_at=first + timedelta(3 * number),
            )
            for number in range(30)
        )
    )
    before = shop.everything()

    def back_to_months(connection: sa.Connection) -> None:
        for statement in (
            "DROP TABLE product_totals",
            f"DROP INDEX {BY_PREVIOUS_DAY}",
            "INSERT INTO counts VALUES ('product_month', '2026-09-01', '1', 9, 9, 9, 9)",
            "UPDATE marketing_revision SET version_num = '0001'",
        ):
            connection.exec_driver_sql(statement)

    shop.run(back_to_months)
    database.upgrade(database_url, "marketing")

    assert shop.everything() == before
    shop.count(an_event(created_at=first))  # a late one changes all that follow
    assert shop.everything()[-1]["orders"] == 31
