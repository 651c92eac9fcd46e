"""The period and the grouping that a reader of the numbers asks for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, cast, get_args

GroupBy = Literal["day", "hour", "week", "month", "region", "product"]

DEFAULT_DAYS = 30
DAYS_MAX = 3660
DAYS_BY_HOUR_MAX = 366
SHOWN_CHARACTERS_MAX = 40
"""Of what a reader has sent, in the text of an error."""
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9998, 12, 31)

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PARAMETERS = ("from", "to", "group_by", "format")


class ParameterError(ValueError):
    """A query parameter is wrong. `parameter` is its name, the text says what is expected."""

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(text)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Period:
    """Local days, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1


def parse(parameters: Mapping[str, Sequence[str]], today: date) -> tuple[Period, GroupBy]:
    """What the query's parameters ask for. Without `to`: until today; without `from`: the 30 days up to `to`.

    `format`, which says how the numbers are written, is none of its business.

    Raises:
        ParameterError: an unknown or repeated parameter, no date, a period that is empty or too long.
    """
    for name, values in parameters.items():
        if name not in _PARAMETERS:
            raise ParameterError(name[:SHOWN_CHARACTERS_MAX], f"unknown parameter; known are {', '.join(_PARAMETERS)}")
        if len(values) > 1:
            raise ParameterError(name, f"given {len(values)} times; once at most")
    given = {name: values[0] for name, values in parameters.items()}
    group_by = _group_by(given.get("group_by", "day"))
    last = _day("to", given["to"]) if "to" in given else today
    first = _day("from", given["from"]) if "from" in given else max(FIRST_DAY, last - timedelta(DEFAULT_DAYS - 1))
    if first > last:
        raise ParameterError("from", f"{first} is after {'to' if 'to' in given else 'today'}, which is {last}")
    period = Period(first, last)
    days_max = DAYS_BY_HOUR_MAX if group_by == "hour" else DAYS_MAX
    if period.days > days_max:
        raise ParameterError("from", f"{period.days} days up to {last}; grouped by {group_by}, {days_max} at most")
    return period, group_by


def _group_by(text: str) -> GroupBy:
    if text not in get_args(GroupBy):
        raise ParameterError(
            "group_by", f"expected one of {', '.join(get_args(GroupBy))}, got: {text[:SHOWN_CHARACTERS_MAX]!r}"
        )
    return cast(GroupBy, text)


def _day(parameter: str, text: str) -> date:
    try:
        day = date.fromisoformat(text) if _ISO_DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise ParameterError(
            parameter,
            f"expected a day from {FIRST_DAY} to {LAST_DAY}, such as 2026-11-24, got: {text[:SHOWN_CHARACTERS_MAX]!r}",
        )
    return day
