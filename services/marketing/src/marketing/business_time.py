"""Days and hours of the business's time zone. A day has 23, 24 or 25 of them where clocks change."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


class Hour(NamedTuple):
    """One hour on the wall's clock. `start` is RFC 3339 with the zone's offset: the hour that comes twice is two."""

    day: date
    start: str


def hour_of(moment: datetime, zone: ZoneInfo) -> Hour:
    """The local day and hour of that moment. Raises OverflowError at the ends of the calendar (years 1 and 9999)."""
    local = moment.astimezone(zone)
    # through UTC: where clocks go forward by half an hour (Lord Howe) the hour begins at half past
    start = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC).astimezone(zone)
    return Hour(local.date(), start.isoformat())


def hours_of(day: date, zone: ZoneInfo) -> list[Hour]:
    """All hours of that local day, in order. None for a day that the zone has left out (Samoa, 30 December 2011)."""
    start, end = _midnight(day, zone), _midnight(day + _DAY, zone)
    local = start.astimezone(zone)
    if end - start == _DAY and local.utcoffset() == end.astimezone(zone).utcoffset():
        offset = local.isoformat()[len("2026-11-24T00:00:00") :]
        return [Hour(day, f"{day}T{hour:02d}:00:00{offset}") for hour in range(24)]
    steps = (start + number * _HOUR for number in range(math.ceil((end - start) / _HOUR)))
    # in the hour and a half that Lord Howe has in April, two steps lie in one hour
    return list(dict.fromkeys(hour for step in steps if (hour := hour_of(step, zone)).day == day))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When the day begins, in UTC. A midnight that clocks skip is the moment of the change, one that comes twice the
    first of them (PEP 495)."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def days_between(first: date, last: date) -> list[date]:
    """Both days and all between them."""
    return [first + number * _DAY for number in range((last - first).days + 1)]


def week_of(day: date) -> date:
    """The Monday of its week."""
    return day - day.weekday() * _DAY


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first day of the month after it."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
