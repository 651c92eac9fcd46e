"""An order's status, derived when it is read from what departments announced and reported. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from eventbus.contract import routing
from eventbus.contract.order import State

from orders.model import ORDER_CREATED

OrderStatus = Literal["received", "processing", "attention", "done"]
DepartmentState = Literal["pending", "waiting", "attention", "done"]

_MOST_URGENT: Mapping[str, int] = {"attention": 0, "waiting": 1, "done": 2}


@dataclass(frozen=True, slots=True)
class Membership:
    """A department's patterns and when they were in force: `since` included, `until` not; None: still."""

    name: str
    patterns: tuple[str, ...]
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a department said last about an order, for one type of event."""

    department: str
    state: State
    updated_at: datetime
    reference: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one department stands with an order, as the API shows it."""

    state: DepartmentState
    reference: str | None = None
    detail: str | None = None
    updated_at: datetime | None = None


def progress_by_department(
    region: str, placed_at: datetime, memberships: Iterable[Membership], reports: Iterable[Report]
) -> dict[str, Progress]:
    """Every department that is expected or has reported, by name. Where it reported on several types of event, the
    most urgent report counts, then the latest."""
    found = {name: Progress("pending") for name in expected_departments(region, placed_at, memberships)}
    ordered = sorted(reports, key=lambda report: (_MOST_URGENT[report.state], -report.updated_at.timestamp()))
    for report in reversed(ordered):
        found[report.department] = Progress(report.state, report.reference, report.detail, report.updated_at)
    return dict(sorted(found.items()))


def expected_departments(region: str, placed_at: datetime, memberships: Iterable[Membership]) -> set[str]:
    """Departments that joined before the order was placed, have not left since, and whose patterns in force at that
    time match its routing key."""
    history: dict[str, list[Membership]] = {}
    for membership in sorted(memberships, key=lambda each: each.since):
        history.setdefault(membership.name, []).append(membership)
    key = f"{ORDER_CREATED}.{region}"
    return {name for name, rows in history.items() if _expects(rows, key, placed_at)}


def _expects(rows: list[Membership], key: str, placed_at: datetime) -> bool:
    for index, row in enumerate(rows):
        if row.since <= placed_at and (row.until is None or placed_at < row.until):
            stayed = all(
                earlier.until == later.since for earlier, later in zip(rows[index:], rows[index + 1 :], strict=False)
            )
            still_there = stayed and rows[-1].until is None
            return still_there and any(routing.matches(pattern, key) for pattern in row.patterns)
    return False


def derive_status(progress: Iterable[Progress]) -> OrderStatus:
    """The order's status, first that holds: `attention` (any department has given up), `done` (all listed are done,
    at least one), `processing` (any report), `received`."""
    states = {each.state for each in progress}
    if "attention" in states:
        return "attention"
    if states == {"done"}:
        return "done"
    return "processing" if states - {"pending"} else "received"
