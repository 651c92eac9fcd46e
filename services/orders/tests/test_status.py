"""Which departments an order waits for, and what its status is."""

from datetime import UTC, datetime, timedelta

import pytest
from eventbus.contract.order import State
from orders.status import Membership, Progress, Report, derive_status, expected_departments, progress_by_department

PLACED = datetime(2026, 11, 24, 12, tzinfo=UTC)
ALL = ("order.created.*",)


def at(hours: float) -> datetime:
    """That many hours after the order was placed."""
    return PLACED + timedelta(hours=hours)


def in_force(since: float, until: float | None = None, patterns: tuple[str, ...] = ALL) -> Membership:
    return Membership("printer", patterns, at(since), None if until is None else at(until))


@pytest.mark.parametrize(
    ("situation", "history", "expected"),
    [
        ("joined before", [in_force(-1)], True),
        ("joined at that moment", [in_force(0)], True),
        ("joined after", [in_force(1)], False),
        ("left before", [in_force(-2, -1)], False),
        ("left after", [in_force(-2, 1)], False),
        ("left after and came back", [in_force(-2, 1), in_force(2)], False),
        ("left before and came back before", [in_force(-4, -3), in_force(-2)], True),
        ("another region only", [in_force(-1, patterns=("order.created.south",))], False),
        ("this region", [in_force(-1, patterns=("order.created.south", "order.created.north"))], True),
        ("everything", [in_force(-1, patterns=("#",))], True),
        ("patterns narrowed since", [in_force(-1, 1), in_force(1, patterns=("order.created.south",))], True),
        ("patterns widened since", [in_force(-1, 1, ("order.created.south",)), in_force(1)], False),
        ("other events only", [in_force(-1, patterns=("order.progressed.*",))], False),
        ("never announced itself", [], False),
    ],
)
def test_department_is_expected_or_not(situation: str, history: list[Membership], expected: bool) -> None:
    assert expected_departments("north", PLACED, reversed(history)) == ({"printer"} if expected else set())


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], "received"),
        (["pending"], "received"),
        (["pending", "waiting"], "processing"),
        (["pending", "done"], "processing"),
        (["waiting", "done"], "processing"),
        (["done"], "done"),
        (["done", "done"], "done"),
        (["done", "attention"], "attention"),
        (["pending", "attention"], "attention"),
    ],
)
def test_status_follows_from_the_departments(states: list[str], status: str) -> None:
    assert derive_status([Progress(state) for state in states]) == status  # type: ignore[arg-type]


def test_department_that_reports_unannounced_is_listed() -> None:
    found = progress_by_department("north", PLACED, [in_force(-1)], [Report("sap", "done", at(1), "4711", None)])
    assert found == {"printer": Progress("pending"), "sap": Progress("done", "4711", None, at(1))}


@pytest.mark.parametrize(
    ("states", "shown"),
    [
        (("done", "attention"), "attention"),
        (("done", "waiting"), "waiting"),
        (("waiting", "attention"), "attention"),
        (("done", "done"), "done"),
    ],
)
def test_most_urgent_of_several_reports_is_shown(states: tuple[State, State], shown: str) -> None:
    reports = [Report("printer", state, at(index)) for index, state in enumerate(states)]
    for ordered in (reports, reports[::-1]):
        found = progress_by_department("north", PLACED, [], ordered)["printer"]
        assert found.state == shown
    assert progress_by_department("north", PLACED, [], reports)["printer"].updated_at == max(
        report.updated_at for report in reports if report.state == shown
    )
