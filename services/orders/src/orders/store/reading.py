"""Reading an order and what departments reported on it, over connections of its own: reads never wait for commits."""

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.pool import QueuePool

from eventbus import database
from orders.status import Membership, Report
from orders.store.membership import memberships
from orders.store.outcomes import StoreUnavailableError
from orders.store.tables import departments, orders, progress
from orders.store.watchdog import Watchdog

READERS = 4
"""Threads that may read at once, each with a connection."""
STATEMENT_TIMEOUT_MS = 2000
FROZEN_AFTER_S = 2.5


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order with what its status is derived from. `number` without dashes."""

    number: str
    customer_name: str
    product_ids: list[int]
    region: str
    created_at: datetime
    memberships: list[Membership]
    reports: list[Report]


class OrderReader:
    """Reads orders. Used by `READERS` threads at once."""

    def __init__(self, url: str) -> None:
        options = (
            {}
            if database.parse_url(url).get_backend_name() == "sqlite"
            else {
                "isolation_level": "AUTOCOMMIT",
                "connect_args": {"options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"},
            }
        )
        self._engine = database.create_engine(
            url,
            writes=False,
            application_name="orders gateway reads",
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
            **options,
        )
        self._watchdog = None if database.is_sqlite(self._engine) else Watchdog(FROZEN_AFTER_S)

    def read(self, number: str) -> StoredOrder | None:
        """The order of that number (without dashes), or None. Raises StoreUnavailableError."""
        try:
            try:
                return self._read(number)
            except sa.exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._read(number)  # a pooled connection was dead; the pool is fresh now
        except sa.exc.DBAPIError as error:
            raise StoreUnavailableError(type(error.orig).__name__) from error

    def close(self) -> None:
        if self._watchdog is not None:
            self._watchdog.close()
        self._engine.dispose()

    def _read(self, number: str) -> StoredOrder | None:
        with self._engine.connect() as connection:
            if self._watchdog is None:
                return _read_order(connection, number)
            with self._watchdog.guard(connection):
                return _read_order(connection, number)


def _read_order(connection: Connection, number: str) -> StoredOrder | None:
    # all three also where there is no such order: whoever guesses numbers learns nothing from the time it takes
    row = connection.execute(sa.select(orders).where(orders.c.number == number)).one_or_none()
    reports = connection.execute(sa.select(progress).where(progress.c.number == number)).all()
    by_time = sa.select(departments).order_by(departments.c.name, departments.c.announced_at)
    announced = connection.execute(by_time).all()
    if row is None:
        return None
    return StoredOrder(
        number=row.number,
        customer_name=row.customer_name,
        product_ids=json.loads(row.product_ids),
        region=row.region,
        created_at=row.created_at,
        memberships=memberships(announced),
        reports=[Report(each.department, each.state, each.updated_at, each.reference, each.detail) for each in reports],
    )
