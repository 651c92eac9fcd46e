"""The book of counts: inbox and counters, changed in one transaction."""

import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated
from eventbus.department import Permanent
from eventbus.department.inbox import Inbox
from eventbus.settings import SettingsError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from marketing import product_totals
from marketing.business_time import hour_of
from marketing.counters import HOUR, Amounts, Group, Link, Tally, Visit, changed_links, tally
from marketing.customers import fingerprint
from marketing.tables import counting, counts, inbox, revisits, visits

_COUNTING_ID = 1
_GENERATED_KEY_BYTES = 32

# One parameter in place of thousands: the new visits as JSON. The rows come with the nearest days that are known.
_NEIGHBOURS = """
SELECT n.dimension, n.key, n.customer, n.day,
       (SELECT max(v.day) FROM visits v
         WHERE v.dimension = n.dimension AND v.key = n.key AND v.customer = n.customer AND v.day < n.day) AS before,
       (SELECT min(v.day) FROM visits v
         WHERE v.dimension = n.dimension AND v.key = n.key AND v.customer = n.customer AND v.day > n.day) AS after
  FROM {rows} n
 WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.dimension = n.dimension AND v.key = n.key
                   AND v.customer = n.customer AND v.day = n.day)
"""
_ROWS = {
    "sqlite": "(SELECT json_extract(value, '$[0]') AS dimension, json_extract(value, '$[1]') AS key,"
    " json_extract(value, '$[2]') AS customer, json_extract(value, '$[3]') AS day FROM json_each(:visits))",
    "postgresql": "(SELECT value->>0 AS dimension, value->>1 AS key, CAST(value->>2 AS bigint) AS customer,"
    " CAST(value->>3 AS date) AS day FROM json_array_elements(CAST(:visits AS json)))",
}


class Book:
    """Counts orders into this database, in one time zone, with one key of pseudonyms."""

    def __init__(self, zone: ZoneInfo, customer_key: bytes) -> None:
        self.zone = zone
        self._customer_key = customer_key
        self._inbox = Inbox(inbox)

    def count(self, connection: Connection, events: Sequence[Event[OrderCreated]]) -> int:
        """How many of the orders were new and are counted now. The caller commits, or nothing is counted.

        Raises:
            Permanent: an order's time is at the end of the calendar, or its event's id cannot be kept.
        """
        for event in events:
            _check_time(event.data, self.zone)
        connection.execute(sa.select(counting.c.id).with_for_update())  # batches take turns
        new = self._inbox.take(connection, (event.id for event in events))
        orders = {event.id: event.data for event in events if event.id in new}
        batch = tally(orders.values(), self.zone, self._customer_key)
        _count_customers(connection, batch)
        _add_counts(connection, batch.amounts)
        product_totals.keep(connection, batch.amounts)
        return len(orders)


def open_book(connection: Connection, timezone: str, customer_key: str | None) -> Book:
    """The book of this database. The first call decides its time zone and its key for good.

    Raises:
        SettingsError: the settings name another time zone or key than the database has counted with.
    """
    configured = customer_key.encode() if customer_key is not None else None
    generated = secrets.token_bytes(_GENERATED_KEY_BYTES) if configured is None else None
    row = {
        "id": _COUNTING_ID,
        "timezone": timezone,
        "customer_key": generated,
        "key_fingerprint": fingerprint(configured or generated or b""),
    }
    connection.execute(_insert(connection, counting).on_conflict_do_nothing(), row)
    kept = connection.execute(sa.select(counting)).one()
    if kept.timezone != timezone:
        raise SettingsError(
            f"timezone: expected {kept.timezone}, in which this database counts, got: {timezone}. To count in another"
            " zone take an empty database and replay the events"
        )
    key = configured if configured is not None else kept.customer_key
    if key is None or fingerprint(key) != kept.key_fingerprint:
        got = "none" if key is None else "another one"
        raise SettingsError(f"customer_key: expected the key with which this database has counted, got: {got}")
    return Book(ZoneInfo(timezone), key)


def _check_time(order: OrderCreated, zone: ZoneInfo) -> None:
    try:
        hour_of(order.created_at, zone)
    except OverflowError:
        raise Permanent("created_at is at the end of the calendar: it has no local day") from None


def _count_customers(connection: Connection, batch: Tally) -> None:
    known: defaultdict[tuple[str, str, int], set[date]] = defaultdict(set)
    new: defaultdict[tuple[str, str, int], set[date]] = defaultdict(set)
    rows = list(_unknown_visits(connection, batch.visits))
    if not rows:
        return
    for visit, neighbours in rows:
        new[visit[:3]].add(visit.day)
        known[visit[:3]].update(neighbours)
    revisited: Counter[tuple[str, str, Link]] = Counter()
    for (dimension, key, customer), days in new.items():
        for day in days:
            batch.amounts[Group(dimension, day, key)].customers += 1
        for link, by in changed_links(known[dimension, key, customer], days):
            if link.previous_day is not None:
                revisited[dimension, key, link] += by
            else:
                batch.amounts[Group(dimension, link.day, key)].new_customers += by
    connection.execute(sa.insert(visits), [visit._asdict() for visit in sorted(visit for visit, _ in rows)])
    _add_revisits(connection, revisited)


def _unknown_visits(connection: Connection, wanted: Iterable[Visit]) -> Iterator[tuple[Visit, list[date]]]:
    rows = json.dumps([(*visit[:3], visit.day.isoformat()) for visit in wanted])
    statement = sa.text(_NEIGHBOURS.format(rows=_ROWS[connection.dialect.name])).columns(
        dimension=sa.String, key=sa.String, customer=sa.BigInteger, day=sa.Date, before=sa.Date, after=sa.Date
    )
    for dimension, key, customer, day, before, after in connection.execute(statement, {"visits": rows}):
        yield Visit(dimension, key, customer, day), [near for near in (before, after) if near is not None]


def _add_revisits(connection: Connection, revisited: Mapping[tuple[str, str, Link], int]) -> None:
    rows = [
        {"dimension": dimension, "key": key, **link._asdict(), "customers": by}
        for (dimension, key, link), by in sorted(revisited.items())
        if by and dimension != HOUR
    ]
    if rows:
        statement = _insert(connection, revisits)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(revisits.primary_key),
                set_={"customers": revisits.c.customers + statement.excluded.customers},
            ),
            rows,
        )


def _add_counts(connection: Connection, amounts: Mapping[Group, Amounts]) -> None:
    rows = [
        {
            **group._asdict(),
            "orders": amount.orders,
            "items": amount.items,
            "customers": amount.customers,
            "new_customers": amount.new_customers,
        }
        for group, amount in sorted(amounts.items(), key=lambda entry: entry[0])
    ]
    if rows:
        statement = _insert(connection, counts)
        measures = (counts.c.orders, counts.c["items"], counts.c.customers, counts.c.new_customers)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=list(counts.primary_key),
                set_={column.name: column + statement.excluded[column.name] for column in measures},
            ),
            rows,
        )


def _insert(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
