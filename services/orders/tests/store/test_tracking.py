"""What the tracker keeps, whatever the order in which reports and announcements arrive."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.contract import DepartmentLeft, Event, announcement
from eventbus.department.outcomes import Permanent
from eventbus.testing.builders import a_result, an_announcement
from hypothesis import given, settings
from hypothesis import strategies as st
from orders.store.membership import keep_announcement, memberships
from orders.store.progress import keep_reports
from orders.store.tables import departments, metadata, progress
from sqlalchemy.engine import Engine

from eventbus import database

NUMBER = "7KQ2-M9XD-4TWE"
START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create_engine(database_url)
    with engine.begin() as connection:
        metadata.create_all(connection)
    yield engine
    engine.dispose()


def a_report(state: str, **fields: Any) -> Event[Any]:
    return a_result(order_number=NUMBER, state=state, **fields)


def kept(engine: Engine, *batches: Sequence[Event[Any]]) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        connection.execute(progress.delete())
    for batch in batches:
        with engine.begin() as connection:
            keep_reports(connection, batch)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(progress).order_by(progress.c.department, progress.c.cause_type)).all()
    return [(row.department, row.cause_type, row.state, row.reference) for row in rows]


def test_done_is_final_in_any_order_and_any_batches(engine: Engine) -> None:
    reports = [a_report("waiting"), a_report("attention"), a_report("done", reference="4711"), a_report("waiting")]
    for order in itertools.permutations(reports):
        assert kept(engine, order[:2], order[2:]) == [("printer", "order.created", "done", "4711")]


def test_repeat_changes_neither_state_nor_reference(engine: Engine) -> None:
    assert kept(engine, [a_report("done", reference="1")], [a_report("done", reference="2")]) == [
        ("printer", "order.created", "done", "1")
    ]


def test_departments_and_causes_are_kept_apart(engine: Engine) -> None:
    batch = [
        a_report("done", reference="1"),
        a_report("waiting", cause_type="order.cancelled"),
        a_report("attention", department="sap_bridge"),
    ]
    assert kept(engine, batch) == [
        ("printer", "order.cancelled", "waiting", None),
        ("printer", "order.created", "done", "1"),
        ("sap_bridge", "order.created", "attention", None),
    ]


def test_number_that_is_none_of_ours_is_refused(engine: Engine) -> None:
    with pytest.raises(Permanent), engine.begin() as connection:
        keep_reports(connection, [a_result(order_number="PO-1")])


def joined(minute: int, *patterns: str) -> Event[Any]:
    return an_announcement(patterns=patterns or ("order.created.*",), time=START + timedelta(minutes=minute))


def left(minute: int) -> Event[Any]:
    return announcement(DepartmentLeft(department="printer"), START + timedelta(minutes=minute))


def history(engine: Engine, events: Sequence[Event[Any]]) -> list[tuple[int, int | None, list[str]]]:
    """Rows as (since, until, patterns), in minutes."""
    with engine.begin() as connection:
        connection.execute(departments.delete())
    for event in events:
        with engine.begin() as connection:
            keep_announcement(connection, event)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(departments).order_by(departments.c.announced_at)).all()

    def minute(moment: datetime | None) -> int | None:
        return None if moment is None else round((moment - START).total_seconds() / 60)

    return [(minute(each.since) or 0, minute(each.until), list(each.patterns)) for each in memberships(rows)]


NORTH, EAST = "order.created.north", "order.created.east"

HISTORIES: list[tuple[str, list[Event[Any]], list[Any]]] = [
    ("restart moves no joining time", [joined(0), joined(5)], [(0, None, ["order.created.*"])]),
    ("late older repeat", [joined(5), joined(0)], [(0, None, ["order.created.*"])]),
    ("patterns change", [joined(0, NORTH), joined(5, EAST)], [(0, 5, [NORTH]), (5, None, [EAST])]),
    ("it leaves", [joined(0, NORTH), left(5)], [(0, 5, [NORTH])]),
    ("it comes back", [joined(0, NORTH), left(5), joined(9, NORTH)], [(0, 5, [NORTH]), (9, None, [NORTH])]),
    ("older joining after it left", [left(5), joined(0, NORTH)], [(0, 5, [NORTH])]),
    ("left is all that is known", [left(5)], []),
    ("older one with other patterns", [joined(5, EAST), joined(0, NORTH)], [(0, 5, [NORTH]), (5, None, [EAST])]),
    (
        "late leaving in between",
        [joined(1), joined(3), left(2)],
        [(1, 2, ["order.created.*"]), (3, None, ["order.created.*"])],
    ),
    ("order of the patterns", [joined(0, NORTH, EAST), joined(5, EAST, NORTH)], [(0, None, [EAST, NORTH])]),
]


@pytest.mark.parametrize(("events", "expected"), [case[1:] for case in HISTORIES], ids=[case[0] for case in HISTORIES])
def test_history_of_a_department(engine: Engine, events: list[Event[Any]], expected: list[Any]) -> None:
    assert history(engine, events) == expected


@settings(max_examples=12, deadline=None)
@given(st.permutations([joined(0, NORTH), joined(3, NORTH), left(5), joined(9, EAST), joined(12, EAST)]))
def test_history_is_the_same_in_any_order_of_arrival(events: list[Event[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = database.create_engine(f"sqlite:///{folder}/test.db")
        with engine.begin() as connection:
            metadata.create_all(connection)
        rows = history(engine, [*events, *events])
        engine.dispose()
    assert rows == [(0, 5, [NORTH]), (9, None, [EAST])]


RECENT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)


def rows_after(engine: Engine, times: Sequence[datetime]) -> int:
    history(engine, [an_announcement(patterns=[NORTH], time=time) for time in times])
    with engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(departments)) or 0)


def test_restarts_leave_two_rows_in_the_end_and_one_a_minute_on_their_day(engine: Engine) -> None:
    assert rows_after(engine, [RECENT - timedelta(days=3, minutes=-minute) for minute in range(20)]) == 2
    assert rows_after(engine, [RECENT + timedelta(seconds=5 * each) for each in range(12 * 5 + 1)]) <= 7


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_leaving_that_is_heard_of_last_parts_a_run_of_restarts(engine: Engine, order: tuple[int, ...]) -> None:
    hour = timedelta(hours=1)
    events = [
        *(an_announcement(patterns=[NORTH], time=RECENT + hour * each) for each in (0, 2, 3)),
        announcement(DepartmentLeft(department="printer"), RECENT + hour),
    ]
    history(engine, [events[each] for each in order])
    with engine.connect() as connection:
        found = memberships(connection.execute(sa.select(departments).order_by(departments.c.announced_at)).all())
    assert [(each.since, each.until) for each in found] == [(RECENT, RECENT + hour), (RECENT + hour * 2, None)]


@pytest.mark.parametrize("year", [1, 1999, 9999])
def test_time_that_cannot_be_true_is_taken_as_now(engine: Engine, year: int) -> None:
    told = datetime(year, 1, 2, tzinfo=UTC)
    with engine.begin() as connection:
        keep_announcement(connection, an_announcement(time=told))
        keep_reports(connection, [a_report("done", time=told)])
    with engine.connect() as connection:
        now = datetime.now(UTC)
        for column in (departments.c.announced_at, progress.c.updated_at):
            kept = connection.scalars(sa.select(column)).one()
            assert abs(now - kept) < timedelta(minutes=5)
