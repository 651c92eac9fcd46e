"""All numbers of the page in one answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from marketing.business_time import month_of, next_month
from marketing.counters import TOTAL
from marketing.period import FIRST_DAY, SHOWN_CHARACTERS_MAX, GroupBy, ParameterError, Period, parse
from marketing.stats import Reader
from marketing.tables import counts

PRODUCTS_MAX = REGIONS_MAX = 20
"""How many are listed, best first. All of them are in `/stats`."""

_DAY = timedelta(days=1)
_STEPS: tuple[tuple[int, GroupBy], ...] = ((2, "hour"), (92, "day"), (300, "week"))
"""Up to so many days, that step; months of longer periods."""


@dataclass(frozen=True, slots=True)
class Question:
    """The period that is looked at, and the one before it. `name` is that of a preset."""

    name: str | None
    period: Period
    previous: Period

    @property
    def interval(self) -> GroupBy:
        """The step of the charts over time: never more than about a hundred of them in ten years."""
        return next((step for days_max, step in _STEPS if self.period.days <= days_max), "month")


def _last_days(days: int) -> Callable[[date], tuple[Period, Period]]:
    def periods(today: date) -> tuple[Period, Period]:
        period = Period(today - (days - 1) * _DAY, today)
        return period, _before(period)

    return periods


def _this_month(today: date) -> tuple[Period, Period]:
    before = month_of(month_of(today) - _DAY)
    same_day = before + (today.day - 1) * _DAY
    return Period(month_of(today), today), Period(before, min(same_day, month_of(today) - _DAY))


def _last_month(today: date) -> tuple[Period, Period]:
    last = month_of(today) - _DAY
    before = month_of(last) - _DAY
    return Period(month_of(last), last), Period(month_of(before), before)


def _twelve_months(today: date) -> tuple[Period, Period]:
    first = next_month(month_of(today).replace(year=today.year - 1))
    return Period(first, today), Period(first.replace(year=first.year - 1), _year_before(today))


def _year_before(day: date) -> date:
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)


def _before(period: Period) -> Period:
    return Period(max(FIRST_DAY, period.first - period.days * _DAY), max(FIRST_DAY, period.first - _DAY))


PRESETS: Mapping[str, Callable[[date], tuple[Period, Period]]] = {
    "today": _last_days(1),
    "7-days": _last_days(7),
    "30-days": _last_days(30),
    "this-month": _this_month,
    "last-month": _last_month,
    "12-months": _twelve_months,
}
DEFAULT_PRESET = "30-days"


def ask(parameters: Mapping[str, Sequence[str]], today: date) -> Question:
    """What `period`, or `from` and `to`, ask for; without them the default preset.

    Raises:
        ParameterError: as `marketing.period.parse`, and for a preset that is not known.
    """
    if parameters and set(parameters) <= {"from", "to"}:
        period, _ = parse(parameters, today)
        return Question(None, period, _before(period))
    for name, values in parameters.items():
        if name != "period":
            raise ParameterError(name[:SHOWN_CHARACTERS_MAX], "expected period, or from and to, alone")
        if len(values) > 1:
            raise ParameterError(name, f"given {len(values)} times; once at most")
    name = parameters.get("period", (DEFAULT_PRESET,))[0]
    if name not in PRESETS:
        raise ParameterError("period", f"expected one of {', '.join(PRESETS)}, got: {name[:SHOWN_CHARACTERS_MAX]!r}")
    return Question(name, *PRESETS[name](today))


def read_dashboard(connection: Connection, question: Question, today: date, zone: ZoneInfo) -> dict[str, Any]:
    """The page's answer, ready for JSON. All of it is of one moment if the connection's transaction is a snapshot."""
    reader = Reader(connection, question.period, zone)
    before = Reader(connection, question.previous, zone)
    first_day = connection.execute(sa.select(sa.func.min(counts.c.day)).where(counts.c.dimension == TOTAL)).scalar()
    return {
        "timezone": zone.key,
        "today": today.isoformat(),
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "first_day": first_day.isoformat() if first_day else None,
        "period": question.name,
        **_days(question.period),
        **reader.total()._asdict(),
        "previous": {**_days(question.previous), **before.total()._asdict()},
        "interval": question.interval,
        "over_time": reader.groups(question.interval),
        "regions": _best(reader.groups("region"), "orders", REGIONS_MAX),
        "products": _best(reader.groups("product"), "items", PRODUCTS_MAX),
    }


def _days(period: Period) -> dict[str, str]:
    return {"from": period.first.isoformat(), "to": period.last.isoformat()}


def _best(groups: list[dict[str, Any]], measure: str, at_most: int) -> dict[str, Any]:
    best = sorted(groups, key=lambda group: -group[measure])  # stable: equal ones stay in the order of the answer
    return {"count": len(groups), "groups": best[:at_most]}
