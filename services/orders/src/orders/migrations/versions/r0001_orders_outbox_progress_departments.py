"""Orders, outbox, progress and departments."""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime
from orders.store.tables import bytewise

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("number", bytewise(12), primary_key=True),
        sa.Column("customer_name", sa.Text, nullable=False),
        sa.Column("product_ids", sa.Text, nullable=False),
        sa.Column("region", sa.String(32), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("idempotency_key", bytewise(255)),
        sa.Column("request_hash", sa.LargeBinary),
    )
    op.create_index(
        "orders_idempotency_key",
        "orders",
        ["idempotency_key"],
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(always=True), primary_key=True),
        sa.Column("routing_key", sa.String(255), nullable=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    if op.get_context().dialect.name == "postgresql":
        # the table empties itself all day: vacuum it by dead rows, not by a share of what it once held
        op.execute("ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000)")
    op.create_table(
        "progress",
        sa.Column("number", bytewise(12), primary_key=True),
        sa.Column("department", sa.String(32), primary_key=True),
        sa.Column("cause_type", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("reference", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "departments",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("announced_at", UtcDateTime, primary_key=True),
        sa.Column("patterns", sa.Text, nullable=False),
    )
