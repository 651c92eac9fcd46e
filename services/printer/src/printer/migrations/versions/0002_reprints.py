"""Copies that a person asked for, whose database it is, and slips by age."""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "reprints",
        sa.Column("order_number", sa.String(35), primary_key=True),
        sa.Column("event_type", sa.String(64), primary_key=True),
        sa.Column("copy", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("reason", sa.String(80), nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "tenant",
        sa.Column("only", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("department", sa.String(32), nullable=False),
    )
    op.create_index("slip_orders_created_at", "slip_orders", ["created_at"])


def downgrade() -> None:
    op.drop_index("slip_orders_created_at", "slip_orders")
    op.drop_table("tenant")
    op.drop_table("reprints")
