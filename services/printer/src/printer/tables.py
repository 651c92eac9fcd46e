"""Tables of the printer's database."""

import sqlalchemy as sa
from eventbus.database import UtcDateTime
from eventbus.department.ledger import ledger_table

metadata = sa.MetaData()

ledger = ledger_table(metadata)

slip_orders = sa.Table(
    "slip_orders",
    metadata,
    sa.Column("order_number", sa.String(35), primary_key=True),
    sa.Column("event_type", sa.String(64), primary_key=True),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
sa.Index("slip_orders_created_at", slip_orders.c.created_at)
"""What stands on the slip, customer's name included: a second copy is made long after the event was acknowledged. A
row that is missing was erased."""

reprints = sa.Table(
    "reprints",
    metadata,
    sa.Column("order_number", sa.String(35), primary_key=True),
    sa.Column("event_type", sa.String(64), primary_key=True),
    sa.Column("copy", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.String(80), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
)
"""Copies that a person asked for. One that the printer aborts is followed by the next copy, for the same reason."""

tenant = sa.Table(
    "tenant",
    metadata,
    sa.Column("only", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("department", sa.String(32), nullable=False),
)
"""One row: the department whose database this is."""

follower = sa.Table(
    "follower",
    metadata,
    sa.Column("only", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("lease_until", UtcDateTime, nullable=False),
    sa.Column("trouble", sa.String(500)),
)
"""One row: the replica that follows the printer's jobs, and why the printer prints nothing, if it says so."""
