"""Running totals of products in place of months, and revisits by the day before.

Totals are made for the days counted so far, week by week. A process of the version before does not keep them: stop
all of this database before.
"""

from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op
from marketing.tables import bytewise

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_revisits_previous_day", "revisits", ["dimension", "previous_day", "day", "key", "customers"])
    op.create_table(
        "product_totals",
        sa.Column("before", sa.Date, primary_key=True),
        sa.Column("key", bytewise(32), primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("items", sa.BigInteger, nullable=False),
        sa.Column("new_customers", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("DELETE FROM counts WHERE dimension = 'product_month'")
    connection = op.get_bind()
    counted = connection.execute(
        sa.text("SELECT DISTINCT day FROM counts WHERE dimension = 'total'").columns(day=sa.Date)
    ).scalars()
    earlier = date.min
    for week in sorted({day - timedelta(day.weekday()) for day in counted}):
        connection.execute(_TOTAL, {"before": week, "earlier": earlier})
        earlier = week


_TOTAL = sa.text("""
INSERT INTO product_totals (before, key, orders, items, new_customers)
SELECT :before, key, sum(orders), sum(items), sum(new_customers)
  FROM (SELECT key, orders, items, new_customers FROM product_totals WHERE before = :earlier
        UNION ALL
        SELECT key, orders, items, new_customers FROM counts
         WHERE dimension = 'product' AND day >= :earlier AND day < :before) AS parts
 GROUP BY key
""").bindparams(sa.bindparam("before", type_=sa.Date), sa.bindparam("earlier", type_=sa.Date))
