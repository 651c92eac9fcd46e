"""The tracker's state: whatever arrives in whatever order, how often and across whatever crash, it ends the same."""

import itertools
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

import sqlalchemy as sa
from eventbus.contract import DepartmentJoined, DepartmentLeft, Event, announcement, decode
from eventbus.contract.order import STATE_RANKS
from eventbus.testing.builders import a_result
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from orders.status import Membership, Report, derive_status, progress_by_department
from orders.store.membership import keep_announcement, memberships
from orders.store.progress import keep_reports
from orders.store.tables import departments, metadata, progress

from eventbus import database

from .exploring import explore_machine

SCENARIO = 13
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
"""Within the day on which late announcements are made room for."""
NUMBERS = ("7KQ2-M9XD-4TWE", "0000-0000-0001")
DEPARTMENTS = ("printer", "sap_bridge")
CAUSES = ("order.created", "order.cancelled")
PATTERNS = (("order.created.*",), ("order.created.north",), ("order.created.south", "order.created.east"), ())
"""What an announcement says; nothing: it has left."""
HOURS = range(6)


class CrashedError(Exception):
    """The process died before its transaction was committed."""


def a_report(number: str, department: str, cause: str, state: Any) -> Event[Any]:
    # a repeat says the same: its id, its reference and its time are those of what it repeats
    event = a_result(
        order_number=number, department=department, cause_type=cause, state=state, reference=f"{department} {state}",
        time=START + timedelta(seconds=STATE_RANKS[state]),
    )  # fmt: skip
    return decode(event.encode(), "application/json", f"order.progressed.{department}")


def an_announcement(department: str, hour: int, patterns: tuple[str, ...]) -> Event[Any]:
    time = START + timedelta(hours=hour)
    data: Any = DepartmentLeft(department=department)
    if patterns:
        data = DepartmentJoined(department=department, patterns=patterns, version="1")
    return announcement(data, time)


REPORTS = [a_report(*each) for each in itertools.product(NUMBERS, DEPARTMENTS, CAUSES, STATE_RANKS)]
ANNOUNCEMENTS = [an_announcement(*each) for each in itertools.product(DEPARTMENTS, HOURS, PATTERNS)]


def keep_one(connection: Any, event: Event[Any]) -> None:
    if event.type == "order.progressed":
        keep_reports(connection, [event])
    else:
        keep_announcement(connection, event)


class Tracker(RuleBasedStateMachine):
    """A tracker on the database of `url`, and beside it what anybody can work out from all that was said."""

    url: ClassVar[str]

    @initialize()
    def start(self) -> None:
        self.engine = database.create_engine(self.url)
        self.reports: dict[tuple[str, str, str], Event[Any]] = {}
        self.said: dict[tuple[str, datetime], tuple[str, ...]] = {}
        self.seen: list[Event[Any]] = []
        with self.engine.begin() as connection:
            metadata.create_all(connection)
            connection.execute(progress.delete())
            connection.execute(departments.delete())

    @rule(batch=st.lists(st.sampled_from(REPORTS), min_size=1, max_size=6))
    def reports_arrive(self, batch: list[Event[Any]]) -> None:
        self.run(lambda connection: keep_reports(connection, batch))
        for event in batch:
            self.note_report(event)

    @rule(event=st.sampled_from(ANNOUNCEMENTS))
    def announcement_arrives(self, event: Event[Any]) -> None:
        self.run(lambda connection: keep_announcement(connection, event))
        self.note_announcement(event)

    @precondition(lambda self: bool(self.seen))
    @rule(choice=st.randoms(use_true_random=False), count=st.integers(1, 5))
    def earlier_ones_arrive_again(self, choice: Any, count: int) -> None:
        for event in choice.choices(self.seen, k=count):
            self.run(partial(keep_one, event=event))

    @rule(batch=st.lists(st.sampled_from(REPORTS), min_size=1, max_size=4), event=st.sampled_from(ANNOUNCEMENTS))
    def dies_before_its_commit(self, batch: list[Event[Any]], event: Event[Any]) -> None:
        def die(connection: Any) -> None:
            keep_reports(connection, batch)
            keep_announcement(connection, event)
            raise CrashedError

        try:
            self.run(die)
        except CrashedError:
            self.engine.dispose()  # another process begins

    def run(self, work: Callable[[Any], None]) -> None:
        with self.engine.begin() as connection:
            work(connection)

    def note_report(self, event: Event[Any]) -> None:
        self.seen.append(event)
        key = (event.data.order_number, event.data.department, event.data.cause_type)
        known = self.reports.get(key)
        if known is None or STATE_RANKS[event.data.state] > STATE_RANKS[known.data.state]:
            self.reports[key] = event

    def note_announcement(self, event: Event[Any]) -> None:
        self.seen.append(event)
        assert event.time is not None
        key = (event.data.department, event.time)
        patterns = tuple(sorted(event.data.patterns)) if event.type == "department.joined" else ()
        others = self.said.get(key)  # two in one millisecond: one and the same wins in every order
        self.said[key] = patterns if others is None else max(patterns, others, key=lambda each: json.dumps(each))

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        with self.engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(_progress_rows())]
            rows = connection.execute(sa.select(departments).order_by(departments.c.name, departments.c.announced_at))
            members = memberships(rows)
        self.engine.dispose()
        assert found == sorted(map(self.row_of, self.reports.values()))
        assert members == self.periods()
        for number in NUMBERS:
            self.check_status(number, found, members)

    @staticmethod
    def row_of(event: Event[Any]) -> tuple[Any, ...]:
        data = event.data
        number = data.order_number.replace("-", "")
        return number, data.department, data.cause_type, data.state, data.reference, event.time

    def periods(self) -> list[Membership]:
        """By reading all announcements in the order of their times."""
        periods: list[Membership] = []
        for name in DEPARTMENTS:
            history = sorted((time, said) for (department, time), said in self.said.items() if department == name)
            changes = [history[i] for i in range(len(history)) if i == 0 or history[i][1] != history[i - 1][1]]
            for index, (since, patterns) in enumerate(changes):
                until = changes[index + 1][0] if index + 1 < len(changes) else None
                if patterns:
                    periods.append(Membership(name, patterns, since, until))
        return periods

    @staticmethod
    def check_status(number: str, found: Sequence[Any], members: list[Membership]) -> None:
        mine = [row for row in found if row[0] == number.replace("-", "")]
        reports = [Report(department, state, time, reference) for _, department, _, state, reference, time in mine]
        placed = START + timedelta(hours=3)
        status = derive_status(progress_by_department("north", placed, members, reports).values())
        if any(report.state == "attention" for report in reports):
            assert status == "attention"
        elif status == "done":
            assert reports
            assert all(report.state == "done" for report in reports)


def _progress_rows() -> sa.Select[Any]:
    columns = progress.c
    return sa.select(
        columns.number, columns.department, columns.cause_type, columns.state, columns.reference, columns.updated_at
    ).order_by(columns.number, columns.department, columns.cause_type)


def test_tracker_ends_in_one_state(database_url: str, seed: int) -> None:
    """Reports and announcements in any order, repeated, across crashes: the tracker ends in the same state"""
    explore_machine(seed, examples=25, steps=15, machine=type("OnThisDatabase", (Tracker,), {"url": database_url}))
