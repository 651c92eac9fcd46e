"""Ledger, and the orders whose slips may be printed again."""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("order_number", sa.String(35), primary_key=True),
        sa.Column("event_type", sa.String(64), primary_key=True),
        sa.Column("copy", sa.SmallInteger, primary_key=True, autoincrement=False, server_default="1"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause_id", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("lease_until", UtcDateTime),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("first_sent_at", UtcDateTime),
        sa.Column("last_sent_at", UtcDateTime),
        sa.Column("reference", sa.String(255)),
        sa.Column("detail", sa.String(500)),
        sa.Column("extra", sa.Text, nullable=False, server_default="{}"),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("ledger_state_updated_at", "ledger", ["state", "updated_at"])
    op.create_table(
        "slip_orders",
        sa.Column("order_number", sa.String(35), primary_key=True),
        sa.Column("event_type", sa.String(64), primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("slip_orders")
    op.drop_table("ledger")
