"""Inbox, counts and visits."""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime
from marketing.tables import bytewise

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.String(255), primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"])
    op.create_table(
        "counting",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("customer_key", sa.LargeBinary),
        sa.Column("key_fingerprint", sa.String(32), nullable=False),
    )
    op.create_table(
        "counts",
        sa.Column("dimension", bytewise(16), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("key", bytewise(32), primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("items", sa.BigInteger, nullable=False),
        sa.Column("customers", sa.BigInteger, nullable=False),
        sa.Column("new_customers", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "visits",
        sa.Column("dimension", bytewise(16), primary_key=True),
        sa.Column("key", bytewise(32), primary_key=True),
        sa.Column("customer", sa.BigInteger, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "revisits",
        sa.Column("dimension", bytewise(16), primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("previous_day", sa.Date, primary_key=True),
        sa.Column("key", bytewise(32), primary_key=True),
        sa.Column("customers", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
