"""Run by `eventbus.database.upgrade`."""

from eventbus.database import run_migrations

from printer.tables import metadata

run_migrations(metadata)
