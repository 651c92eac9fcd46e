"""The tables of the marketing department, for SQLite and PostgreSQL.

Their revisions stand in `marketing/migrations`; a test compares the two. No name of a customer is in them.

A *dimension* is a way to group orders, a *key* one group of it:

    dimension      key                        day
    total          (empty)                    the order's local day
    hour           2026-10-25T02:00:00+01:00  the order's local day
    region         north                      the order's local day
    product        42                         the order's local day
"""

import sqlalchemy as sa
from eventbus.department.inbox import inbox_table

metadata = sa.MetaData()

DIMENSION_CHARACTERS_MAX = 16
KEY_CHARACTERS_MAX = 32
BY_PREVIOUS_DAY = "ix_revisits_previous_day"


def bytewise(length: int) -> sa.String:
    """A varchar that PostgreSQL compares by bytes, which is much quicker. SQLite does so anyway."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _group() -> tuple[sa.Column[str], sa.Column[str]]:
    return (
        sa.Column("dimension", bytewise(DIMENSION_CHARACTERS_MAX), primary_key=True),
        sa.Column("key", bytewise(KEY_CHARACTERS_MAX), primary_key=True),
    )


inbox = inbox_table(metadata)

counting = sa.Table(
    "counting",
    metadata,
    # one row: how this database counts. Whoever counts locks it, so batches of several processes take turns
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("customer_key", sa.LargeBinary),  # null: the settings hold it
    sa.Column("key_fingerprint", sa.String(32), nullable=False),
)

_dimension, _key = _group()
counts = sa.Table(
    "counts",
    metadata,
    _dimension,
    sa.Column("day", sa.Date, primary_key=True),
    _key,
    sa.Column("orders", sa.BigInteger, nullable=False),
    sa.Column("items", sa.BigInteger, nullable=False),
    sa.Column("customers", sa.BigInteger, nullable=False),  # different ones on that day
    sa.Column("new_customers", sa.BigInteger, nullable=False),  # of these, whose first day in the group it is
    sqlite_with_rowid=False,
)

_dimension, _key = _group()
visits = sa.Table(
    "visits",
    metadata,
    # which customer has ordered in which group on which day
    _dimension,
    _key,
    sa.Column("customer", sa.BigInteger, primary_key=True),  # a pseudonym
    sa.Column("day", sa.Date, primary_key=True),
    sqlite_with_rowid=False,
)

_dimension, _key = _group()
revisits = sa.Table(
    "revisits",
    metadata,
    # how many customers ordered on `day` whose last day before it was `previous_day`: with `new_customers`, how many
    # different customers any period had. A customer counts once in it: on the day whose previous one lies before it
    _dimension,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("previous_day", sa.Date, primary_key=True),
    _key,
    sa.Column("customers", sa.BigInteger, nullable=False),
    # of all columns: nothing else is read
    sa.Index(BY_PREVIOUS_DAY, "dimension", "previous_day", "day", "key", "customers"),
    sqlite_with_rowid=False,
)

product_totals = sa.Table(
    "product_totals",
    metadata,
    # what was ordered of a product before that day, of each week's Monday: see `product_totals.py`
    sa.Column("before", sa.Date, primary_key=True),
    sa.Column("key", bytewise(KEY_CHARACTERS_MAX), primary_key=True),
    sa.Column("orders", sa.BigInteger, nullable=False),
    sa.Column("items", sa.BigInteger, nullable=False),
    sa.Column("customers", sa.BigInteger, nullable=False),  # sum of the days'
    sa.Column("new_customers", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
