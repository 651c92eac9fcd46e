"""What `rebuild` asks for: orders by time, and how far back each department can tell a repeat.

Additions alone: a process of the release before goes on working beside it.
"""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("departments", sa.Column("remembers_since", UtcDateTime))
    op.create_index(
        "orders_created_at",
        "orders",
        ["created_at"],
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )
