"""What `rebuild` asks for: orders by time, and how far back each department can tell a repeat.

Additions alone: a process of the version before goes on working beside it. On PostgreSQL the index is made beside the
orders that come in meanwhile.
"""

import sqlalchemy as sa
from alembic import op
from eventbus.database import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("departments", sa.Column("remembers_since", UtcDateTime))
    if op.get_context().dialect.name != "postgresql":
        op.create_index("orders_created_at", "orders", ["created_at"])
        return
    with op.get_context().autocommit_block():
        # what a run that ended half-way left is no index
        op.drop_index("orders_created_at", "orders", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "orders_created_at",
            "orders",
            ["created_at"],
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},
            postgresql_concurrently=True,
        )
