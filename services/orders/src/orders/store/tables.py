"""The tables of the orders service, for SQLite and PostgreSQL.

Their revisions stand in `orders/migrations`; a test compares the two.
"""

import sqlalchemy as sa
from eventbus.database import UtcDateTime

NUMBER_CHARACTERS = 12
IDEMPOTENCY_KEY_CHARACTERS_MAX = 255

metadata = sa.MetaData()


def bytewise(length: int) -> sa.String:
    """A varchar that PostgreSQL compares by bytes. SQLite does so anyway, and knows no collation "C"."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


orders = sa.Table(
    "orders",
    metadata,
    sa.Column("number", bytewise(NUMBER_CHARACTERS), primary_key=True),  # without dashes
    sa.Column("customer_name", sa.Text, nullable=False),
    sa.Column("product_ids", sa.Text, nullable=False),  # a JSON array, as ordered
    sa.Column("region", sa.String(32), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),  # to the millisecond, as in the event
    sa.Column("idempotency_key", bytewise(IDEMPOTENCY_KEY_CHARACTERS_MAX)),
    sa.Column("request_hash", sa.LargeBinary),  # SHA-256, where there is a key
    sa.Index(
        "orders_idempotency_key",
        "idempotency_key",
        unique=True,
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    ),
    # for `rebuild`, which reads by time. BRIN: orders lie on the disk by time, and it costs an insert next to nothing
    sa.Index("orders_created_at", "created_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(always=True), primary_key=True),
    sa.Column("routing_key", sa.String(255), nullable=False),
    sa.Column("event_id", sa.String(36), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # the encoded event
    # without AUTOINCREMENT SQLite gives an id again once the table is empty, and a reader that goes on behind the
    # last id that it saw misses the row
    sqlite_autoincrement=True,
)

progress = sa.Table(
    "progress",
    metadata,
    # no foreign key: a result may come before its order is known here
    sa.Column("number", bytewise(NUMBER_CHARACTERS), primary_key=True),
    sa.Column("department", sa.String(32), primary_key=True),
    sa.Column("cause_type", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("rank", sa.SmallInteger, nullable=False),
    sa.Column("reference", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

departments = sa.Table(
    "departments",
    metadata,
    # its announcements, but for those between two that say the same; what was in force when is derived from them
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("announced_at", UtcDateTime, primary_key=True),
    sa.Column("patterns", sa.Text, nullable=False),  # a JSON array, sorted; empty: it left
    sa.Column("remembers_since", UtcDateTime),  # how far back it can tell a repeat, as it says; null: it says nothing
)
