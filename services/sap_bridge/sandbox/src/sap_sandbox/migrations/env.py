"""Alembic's entry: run by `eventbus.database.upgrade`."""

from eventbus.database import run_migrations
from sap_sandbox.tables import metadata

run_migrations(metadata)
