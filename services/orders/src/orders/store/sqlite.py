"""Storing a batch in SQLite: two executemany in one BEGIN IMMEDIATE."""

import sqlite3
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.pool import QueuePool

from eventbus import database
from orders.model import PlacedOrder
from orders.store.outcomes import BadRowError, Found, OutcomeUnknownError, StoreError, StoreUnavailableError
from orders.store.tables import orders as orders_table
from orders.wakeup import SqliteWakeup

LOCK_WAIT_S = 4.0
"""Less than a request waits, so that it hears that nothing was stored."""

_INSERT_ORDERS = """
INSERT INTO orders (number, customer_name, product_ids, region, created_at, idempotency_key, request_hash)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_INSERT_OUTBOX = "INSERT INTO outbox (routing_key, event_id, body) VALUES (?, ?, ?)"
_BAD_ROW = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class SqliteRunner:
    """Stores batches over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._engine = database.create_engine(
            url,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_reset_on_return=None,
            connect_args={"timeout": LOCK_WAIT_S},
        )
        self._wakeup = SqliteWakeup(url)

    def run(self, batch: list[PlacedOrder], repeated: bool) -> list[Found]:
        """See `Runner.run`."""
        try:
            with self._engine.connect() as connection:
                with connection.begin() as transaction:
                    if _insert(connection, batch):
                        return [Found(order.number, order.created_at, order.request_hash, True) for order in batch]
                    transaction.rollback()
                with connection.begin():
                    return _insert_unknown(connection, batch, repeated)
        except sa.exc.DBAPIError as error:
            raise self._classified(error) from error
        except (UnicodeEncodeError, OverflowError) as error:
            raise BadRowError(type(error).__name__) from error

    def wake_relay(self) -> None:
        self._wakeup.send()

    def close(self) -> None:
        self._engine.dispose()
        self._wakeup.close()

    def _classified(self, error: sa.exc.DBAPIError) -> StoreError:
        name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
        if isinstance(error.orig, _BAD_ROW):
            return BadRowError(name)
        self._engine.dispose()  # the file may have been replaced
        return OutcomeUnknownError(name) if name.startswith("SQLITE_IOERR") else StoreUnavailableError(name)


def _insert(connection: Connection, batch: Sequence[PlacedOrder]) -> bool:
    """Whether all were new; if not, the caller rolls back."""
    rows = [_row(order) for order in batch]
    if connection.exec_driver_sql(_INSERT_ORDERS, rows).rowcount != len(batch):
        return False
    events = [(order.routing_key, order.event_id, order.body.encode()) for order in batch]
    connection.exec_driver_sql(_INSERT_OUTBOX, events)
    return True


def _row(order: PlacedOrder) -> tuple[str | bytes | None, ...]:
    digest = None if order.request_hash is None else bytes.fromhex(order.request_hash)
    created_at = f"{order.created_at[:-1]}000Z"  # as UtcDateTime writes it: microseconds
    return (*order[:4], created_at, order.idempotency_key, digest)


def _insert_unknown(connection: Connection, batch: list[PlacedOrder], repeated: bool) -> list[Found]:
    keys = [order.idempotency_key for order in batch if order.idempotency_key is not None]
    table = orders_table.c
    by_key = {
        row.idempotency_key: Found(row.number, f"{row.created_at[:-4]}Z", row.request_hash.hex(), False)
        for row in connection.execute(
            sa.select(
                table.idempotency_key, table.number, sa.type_coerce(table.created_at, sa.Text), table.request_hash
            ).where(table.idempotency_key.in_(keys))
        )
    }
    numbers = [order.number for order in batch]
    taken = set(connection.scalars(sa.select(table.number).where(table.number.in_(numbers))))
    answers = [Found(order.number, order.created_at, order.request_hash, True) for order in batch]
    unknown = []
    for index, order in enumerate(batch):
        if stored := by_key.get(order.idempotency_key or ""):
            answers[index] = stored._replace(new=stored.number == order.number)
        elif order.number not in taken:
            unknown.append(order)
        elif not (repeated and order.idempotency_key is None):  # else our own, stored by an earlier run
            batch[index] = order.renumbered()
            answers[index] = answers[index]._replace(number=batch[index].number)
            unknown.append(batch[index])
    if unknown and not _insert(connection, unknown):
        raise StoreUnavailableError("a fresh number was taken as well")
    return answers
