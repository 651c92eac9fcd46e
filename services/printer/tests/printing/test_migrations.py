"""The printer's database as its migrations make it."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from printer.tables import metadata


def test_migrations_make_what_the_code_expects(transactions: Any) -> None:
    with transactions.engine.connect() as connection:
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"version_table": "printer_revision"}), metadata
            )
            == []
        )
