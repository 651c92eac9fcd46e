"""Find rows by when they were made: a reconciliation reads some days, an announcement the oldest row."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ledger_created_at", "ledger", ["created_at"])


def downgrade() -> None:
    op.drop_index("ledger_created_at", "ledger")
