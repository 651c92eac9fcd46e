"""Alembic's entry: `eventbus.database.upgrade` hands over the connection."""

from eventbus.database import run_migrations
from marketing.tables import metadata

run_migrations(metadata)
