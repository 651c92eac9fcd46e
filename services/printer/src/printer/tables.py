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
"""What stands on the slip, customer's name included: a second copy is made long after the event was acknowledged."""
