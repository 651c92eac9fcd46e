"""Run by Alembic."""

from eventbus.database import run_migrations

from sap_bridge.schema import metadata

run_migrations(metadata)
