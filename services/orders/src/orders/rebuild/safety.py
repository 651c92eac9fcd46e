"""What a rebuild would do to departments that a lost broker did not mean for them. It is counted, not guessed."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from eventbus.contract import rfc3339, routing

from orders.model import ORDER_CREATED
from orders.rebuild.history import History, Member

MEMORY_AT_LEAST = timedelta(days=90)
"""Ledger and inbox keep what happened for so long. What a department said of its memory it said at its last start, so
nothing older is believed to be known still."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Objection(NamedTuple):
    """Why one department should not get these orders."""

    department: str
    orders: int
    why: str

    def __str__(self) -> str:
        return f"{self.department}: {self.why}"


def objections(history: History, members: Iterable[Member], since: datetime, until: datetime) -> Iterator[Objection]:
    """For each department: orders on which it reported before the time from which it can tell a repeat, and orders
    that were placed while it was not on the bus, or not for them."""
    for member in members:
        if count := _forgotten(history, member, since, until):
            horizon = rfc3339(_horizon(member))
            why = f"remembers since {horizon}, and had reported on {count} of these orders before: it would repeat them"
            yield Objection(member.name, count, why)
        if count := _unmeant(history, member, since, until):
            joined = rfc3339(member.periods[-1].since)
            why = f"is on the bus for {', '.join(member.patterns)} since {joined}: {count} of these orders are older"
            yield Objection(member.name, count, why)


def _horizon(member: Member) -> datetime:
    bound = datetime.now(UTC) - MEMORY_AT_LEAST
    return bound if member.remembers_since is None else max(bound, member.remembers_since)


def _forgotten(history: History, member: Member, since: datetime, until: datetime) -> int:
    end = min(_horizon(member), until)
    return history.reported(member.name, since, end) if since < end else 0


def _unmeant(history: History, member: Member, since: datetime, until: datetime) -> int:
    """Orders that its patterns of today match, and those in force when they were placed did not."""
    count = 0
    for begin, end, patterns in _times(member):
        begin, end = max(begin, since), min(end, until)
        if begin < end and set(patterns) != set(member.patterns):
            for region, placed in history.regions(begin, end).items():
                key = f"{ORDER_CREATED}.{region}"
                if _matches(member.patterns, key) and not _matches(patterns, key):
                    count += placed
    return count


def _times(member: Member) -> Iterator[tuple[datetime, datetime, tuple[str, ...]]]:
    """From when to when it had which patterns: none before it joined and between leaving and joining again."""
    at = BEGINNING
    for period in member.periods:
        if at < period.since:
            yield at, period.since, ()
        at = period.until or datetime.max.replace(tzinfo=UTC)
        yield period.since, at, period.patterns


def _matches(patterns: Iterable[str], key: str) -> bool:
    return any(routing.matches(pattern, key) for pattern in patterns)
