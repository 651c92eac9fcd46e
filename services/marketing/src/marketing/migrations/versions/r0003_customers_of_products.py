"""Running totals of products have the days' customers, too. They are made anew."""

from datetime import date, timedelta

import sqlalchemy as sa
from alembic import op
from marketing.tables import bytewise

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_table("product_totals")
    op.create_table(
        "product_totals",
        sa.Column("before", sa.Date, primary_key=True),
        sa.Column("key", bytewise(32), primary_key=True),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("items", sa.BigInteger, nullable=False),
        sa.Column("customers", sa.BigInteger, nullable=False),
        sa.Column("new_customers", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    counted = connection.execute(
        sa.text("SELECT DISTINCT day FROM counts WHERE dimension = 'total'").columns(day=sa.Date)
    ).scalars()
    earlier = date.min
    for week in sorted({day - timedelta(day.weekday()) for day in counted}):
        connection.execute(_TOTAL, {"before": week, "earlier": earlier})
        earlier = week


_TOTAL = sa.text("""
INSERT INTO product_totals (before, key, orders, items, customers, new_customers)
SELECT :before, key, sum(orders), sum(items), sum(customers), sum(new_customers)
  FROM (SELECT key, orders, items, customers, new_customers FROM product_totals WHERE before = :earlier
        UNION ALL
        SELECT key, orders, items, customers, new_customers FROM counts
         WHERE dimension = 'product' AND day >= :earlier AND day < :before) AS parts
 GROUP BY key
""").bindparams(sa.bindparam("before", type_=sa.Date), sa.bindparam("earlier", type_=sa.Date))
