"""Alembic's revisions of the printer's database."""
