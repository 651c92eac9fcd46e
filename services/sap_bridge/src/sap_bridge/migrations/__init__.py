"""Migrations of the bridge's database (Alembic)."""
