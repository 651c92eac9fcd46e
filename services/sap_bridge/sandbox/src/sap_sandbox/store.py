"""Sales orders in a database: what was booked outlives a restart, else the sandbox itself would provoke duplicates."""

import sqlalchemy as sa
from eventbus.database import create_engine, upgrade
from sqlalchemy.pool import QueuePool

from sap_sandbox.condition_sql import expression
from sap_sandbox.deep_insert import Row
from sap_sandbox.query import Query
from sap_sandbox.schema import SALES_ORDER, EntityType
from sap_sandbox.settings import NumberRange
from sap_sandbox.tables import TABLES, number_range, sales_order

_INTERNAL = "internal"


class NumberTakenError(Exception):
    """A sales order of that number exists."""


class RangeUsedUpError(Exception):
    """The internal number range has no number left."""


class Store:
    """All sales orders. Every method blocks; `book` is meant for one thread at a time, SQLite has one writer."""

    def __init__(self, url: str, internal_range: NumberRange) -> None:
        self._range = internal_range
        upgrade(url, "sap_sandbox")
        # connections are kept: 267 bookings/s with them, 213 with a new one each, on two busy cores
        self.writer = create_engine(url, poolclass=QueuePool)
        self.reader = create_engine(url, writes=False, poolclass=QueuePool)

    def close(self) -> None:
        """Close all connections."""
        self.writer.dispose()
        self.reader.dispose()

    def book(self, header: Row, children: dict[str, tuple[Row, ...]]) -> str:
        """Book the order, on disk when this returns. Returns its number, the header's own or the next internal one.

        Raises:
            NumberTakenError: the header's number is in use.
            RangeUsedUpError: see there.
        """
        with self.writer.begin() as connection:
            number = str(header["SalesOrder"]) or self._next_number(connection)
            exists = sa.select(sales_order.c.SalesOrder).where(sales_order.c.SalesOrder == number)
            if connection.scalar(exists) is not None:
                raise NumberTakenError(number)
            connection.execute(sales_order.insert().values(header | {"SalesOrder": number}))
            for navigation, rows in children.items():
                table = TABLES[SALES_ORDER.navigations[navigation]]
                if rows:
                    connection.execute(table.insert(), [row | {"SalesOrder": number} for row in rows])
        return number

    def _next_number(self, connection: sa.Connection) -> str:
        last = connection.scalar(
            sa.update(number_range)
            .where(number_range.c.name == _INTERNAL)
            .values(last_number=number_range.c.last_number + 1)
            .returning(number_range.c.last_number)
        )
        if last is None or last < self._range.first:
            last = self._range.first
            connection.execute(sa.delete(number_range).where(number_range.c.name == _INTERNAL))
            connection.execute(sa.insert(number_range).values(name=_INTERNAL, last_number=last))
        if last > self._range.last:
            raise RangeUsedUpError
        return f"{last:010}"

    def find(self, entity: EntityType, key: dict[str, str]) -> Row | None:
        """The entity of that key."""
        table = TABLES[entity.set_name]
        query = sa.select(table).where(*(table.c[name] == value for name, value in key.items()))
        with self.reader.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return dict(row) if row else None

    def select(self, entity: EntityType, query: Query, parent: str | None = None) -> list[Row]:
        """The entities that the query asks for, of all sales orders or those of one."""
        table = TABLES[entity.set_name]
        order = [table.c[prop.name].desc() if descending else table.c[prop.name] for prop, descending in query.order_by]
        statement = (
            sa.select(table)
            .where(*_conditions(table, query, parent))
            .order_by(*order, *(table.c[name] for name in entity.keys))
            .limit(query.top)
            .offset(query.skip or None)
        )
        with self.reader.connect() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def count(self, entity: EntityType, query: Query, parent: str | None = None) -> int:
        """How many entities fit the query's filter."""
        table = TABLES[entity.set_name]
        statement = sa.select(sa.func.count()).select_from(table).where(*_conditions(table, query, parent))
        with self.reader.connect() as connection:
            return connection.scalar(statement) or 0

    def children(self, navigation: str, numbers: list[str]) -> dict[str, list[Row]]:
        """The entities behind the navigation, by the sales order that they belong to."""
        target = SALES_ORDER.navigations[navigation]
        table = TABLES[target]
        found: dict[str, list[Row]] = {number: [] for number in numbers}
        with self.reader.connect() as connection:
            for start in range(0, len(numbers), 500):  # SQLite's limit of variables is 999 before 3.32
                wanted = table.c.SalesOrder.in_(numbers[start : start + 500])
                rows = connection.execute(sa.select(table).where(wanted).order_by(*table.primary_key.columns))
                for row in rows.mappings():
                    found[row["SalesOrder"]].append(dict(row))
        return found

    def orders_by_reference(self) -> dict[str, int]:
        """The number of sales orders of each customer reference: more than one is a duplicate."""
        reference = sales_order.c.PurchaseOrderByCustomer
        statement = sa.select(reference, sa.func.count()).group_by(reference).order_by(reference)
        with self.reader.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}


def _conditions(table: sa.Table, query: Query, parent: str | None) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if query.where is not None:
        conditions.append(expression(query.where, table))
    if parent is not None:
        conditions.append(table.c["SalesOrder"] == parent)
    return conditions
