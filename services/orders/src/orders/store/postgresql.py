"""Storing a batch in PostgreSQL: one statement with one JSON parameter, in AUTOCOMMIT. One round trip, one flush."""

import json
from typing import Any

import psycopg
import sqlalchemy as sa
from eventbus.contract import rfc3339
from eventbus.logs import get_logger
from sqlalchemy.engine import Connection

from eventbus import database
from orders.model import PlacedOrder
from orders.store.outcomes import (
    BadRowError,
    Found,
    OutcomeUnknownError,
    RunAgainError,
    StoreError,
    StoreUnavailableError,
)
from orders.store.watchdog import Watchdog
from orders.wakeup import notify

STATEMENT_TIMEOUT_MS = 4000
LOCK_TIMEOUT_MS = 2000
FROZEN_AFTER_S = 2.5
"""Longer than any wait for a lock, short enough for a second run within the time that a request waits."""

# ORDER BY: two gateways that insert the same keys in different orders would deadlock
_INSERT = """
WITH new AS (
  SELECT * FROM json_to_recordset(CAST(%s AS json)) AS new(
    number text, customer_name text, product_ids text, region text, created_at timestamptz, idempotency_key text,
    request_hash text, routing_key text, event_id text, body text)
), stored AS (
  INSERT INTO orders (number, customer_name, product_ids, region, created_at, idempotency_key, request_hash)
  SELECT number, customer_name, product_ids, region, created_at, idempotency_key, decode(request_hash, 'hex')
  FROM new ORDER BY idempotency_key COLLATE "C"
  ON CONFLICT DO NOTHING RETURNING number
), announced AS (
  INSERT INTO outbox (routing_key, event_id, body)
  SELECT routing_key, event_id, convert_to(body, 'UTF8') FROM new WHERE number IN (SELECT number FROM stored)
)
SELECT number FROM stored
"""
_BY_KEY = "SELECT idempotency_key, number, created_at, request_hash FROM orders WHERE idempotency_key = ANY(%s)"
_STORED_FIELDS = PlacedOrder._fields[: PlacedOrder._fields.index("body") + 1]

_RUN_AGAIN = {
    "40P01",  # deadlock
    "40001",  # serialization failure
    "55P03",  # lock_timeout
    "57014",  # statement_timeout
}
_BAD_ROW_CLASSES = ("22", "23")  # data exception, integrity constraint violation
_UNKNOWN_CLASSES = ("08", "57")  # connection exception, operator intervention: may come after the commit
_ENDS_SESSION = ("FATAL", "PANIC")
"""So may these: a server that cannot write its log any more (disk full) finds the commit in it when it recovers."""

_log = get_logger(__name__)


class PostgresqlRunner:
    """Stores batches over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._engine = database.create_engine(
            url,
            application_name="orders gateway",
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=1,
            pool_reset_on_return=None,
            connect_args={"options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"},
        )
        self._watchdog = Watchdog(FROZEN_AFTER_S)

    def run(self, batch: list[PlacedOrder], repeated: bool) -> list[Found]:
        """See `Runner.run`."""
        with self._connected() as connection:
            try:
                with self._watchdog.guard(connection):
                    return self._stored(connection, batch, repeated)
            except sa.exc.DBAPIError as error:
                raise _classified(error) from error

    def wake_relay(self) -> None:
        try:
            with self._engine.connect() as connection, self._watchdog.guard(connection):
                try:
                    notify(connection)
                except Exception:
                    connection.invalidate()
                    raise
        except Exception as error:  # noqa: BLE001 - a hint: whatever is wrong, the next commit says so
            _log.debug("no relay was woken", error=type(error).__name__)

    def close(self) -> None:
        self._watchdog.close()
        self._engine.dispose()

    def _connected(self) -> Connection:
        try:
            return self._engine.connect()
        except sa.exc.DBAPIError as error:
            self._engine.dispose()
            raise StoreUnavailableError(f"no connection: {type(error.orig).__name__}") from error

    def _stored(self, connection: Connection, batch: list[PlacedOrder], repeated: bool) -> list[Found]:
        inserted = _insert(connection, batch)
        if len(inserted) == len(batch):
            return [Found(order.number, order.created_at, order.request_hash, True) for order in batch]
        try:
            return self._answers_of_lost(connection, batch, inserted, repeated)
        except (sa.exc.DBAPIError, StoreError) as error:
            # the first statement is committed: whatever fails now, a part of the batch may be stored
            raise OutcomeUnknownError(f"after the first statement: {type(error).__name__}") from error

    def _answers_of_lost(
        self, connection: Connection, batch: list[PlacedOrder], inserted: set[str], repeated: bool
    ) -> list[Found]:
        """The answers of a batch of which some rows were not inserted: known keys, taken numbers."""
        lost = [index for index, order in enumerate(batch) if order.number not in inserted]
        keys = [key for index in lost if (key := batch[index].idempotency_key) is not None]
        by_key = _read_by_key(connection, keys) if keys else {}
        answers = [Found(order.number, order.created_at, order.request_hash, True) for order in batch]
        taken = []
        for index in lost:
            order = batch[index]
            if stored := by_key.get(order.idempotency_key or ""):
                answers[index] = stored._replace(new=stored.number == order.number)
            elif not (repeated and order.idempotency_key is None):  # else our own, stored by an earlier run
                taken.append(index)
                batch[index] = order.renumbered()
        if taken:
            renumbered = [batch[index] for index in taken]
            for index, order, answer in zip(
                taken, renumbered, self._stored(connection, renumbered, False), strict=True
            ):
                batch[index], answers[index] = order, answer
        return answers


def _insert(connection: Connection, batch: list[PlacedOrder]) -> set[str]:
    rows = [dict(zip(_STORED_FIELDS, order, strict=False)) for order in batch]
    parameter = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    try:
        return set(connection.exec_driver_sql(_INSERT, (parameter,)).scalars())
    except UnicodeEncodeError as error:
        raise BadRowError("not UTF-8") from error


def _read_by_key(connection: Connection, keys: list[str]) -> dict[str, Found]:
    rows = connection.exec_driver_sql(_BY_KEY, (keys,))
    return {key: Found(number, rfc3339(created), bytes(digest).hex(), False) for key, number, created, digest in rows}


def _classified(error: sa.exc.DBAPIError) -> StoreError:
    state: Any = getattr(error.orig, "sqlstate", None)
    reason = f"{type(error.orig).__name__} {state or ''}".strip()
    if state in _RUN_AGAIN:
        return RunAgainError(reason)
    severity = error.orig.diag.severity_nonlocalized if isinstance(error.orig, psycopg.Error) else None
    if state is None or severity in _ENDS_SESSION or state.startswith(_UNKNOWN_CLASSES):
        return OutcomeUnknownError(reason)
    if state.startswith(_BAD_ROW_CLASSES):
        return BadRowError(reason)
    return StoreUnavailableError(reason)  # disk full, read-only, no such table, no rights
