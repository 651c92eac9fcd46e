"""Which replica follows the printer's jobs, and what it sees."""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "follower",
        sa.Column("only", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("lease_until", UtcDateTime, nullable=False),
        sa.Column("trouble", sa.String(500)),
    )


def downgrade() -> None:
    op.drop_table("follower")
