"""What departments reported on orders: a row for each order, department and type of event, merged by rank."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from eventbus.contract import Event, OrderProgressed
from eventbus.contract.order import STATE_RANKS
from eventbus.department.outcomes import Permanent
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from orders.model import parse_number
from orders.store.plausible import plausible_time
from orders.store.tables import progress

_KEY = ("number", "department", "cause_type")


def keep_reports(connection: Connection, events: Sequence[Event[OrderProgressed]]) -> None:
    """Write the reports down. A report changes its row only if it ranks higher: `done` is final, in any order.

    Reports on orders that are not known yet are kept.

    Raises:
        Permanent: a number that this service never gave, or text that no database keeps.
    """
    highest: dict[tuple[str, ...], dict[str, Any]] = {}
    for event in events:
        row = _row(event)
        key = tuple(row[column] for column in _KEY)
        # PostgreSQL refuses to change a row twice in one statement
        if key not in highest or row["rank"] > highest[key]["rank"]:
            highest[key] = row
    rows = [highest[key] for key in sorted(highest)]  # sorted: two trackers must not wait for each other
    try:
        connection.execute(_upsert(connection), rows)
    except sa.exc.DataError as error:
        raise Permanent("the report holds text that the database cannot keep") from error


def _row(event: Event[OrderProgressed]) -> dict[str, Any]:
    report = event.data
    number = parse_number(report.order_number)
    if number is None:
        raise Permanent("order_number is none of this service's")
    return {
        "number": number,
        "department": report.department,
        "cause_type": report.cause_type,
        "state": report.state,
        "rank": STATE_RANKS[report.state],
        "reference": report.reference,
        "detail": report.detail,
        "updated_at": plausible_time(event.time),
    }


def _upsert(connection: Connection) -> sa.Insert:
    insert = sqlite.insert(progress) if connection.dialect.name == "sqlite" else postgresql.insert(progress)
    changed = {name: insert.excluded[name] for name in ("state", "rank", "reference", "detail", "updated_at")}
    return insert.on_conflict_do_update(index_elements=_KEY, set_=changed, where=insert.excluded.rank > progress.c.rank)
