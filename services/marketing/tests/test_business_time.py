"""Local days and hours, where clocks change and where they stand oddly."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from marketing.business_time import days_between, hour_of, hours_of, next_month


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-11-24", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Kolkata", "2026-11-24", 24),  # half an hour beside UTC
        ("Australia/Lord_Howe", "2026-04-05", 24),  # an hour and a half of 01:00, in one hour
        ("America/Sao_Paulo", "2018-11-04", 23),  # begins at 01:00
        ("America/Sao_Paulo", "2018-02-17", 25),  # 23:00 comes twice
        ("Pacific/Apia", "2011-12-30", 0),  # left out
        ("UTC", "2026-03-29", 24),
    ],
)
def test_day_has_as_many_hours_as_its_clocks_show(zone: str, day: str, hours: int) -> None:
    listed = hours_of(date.fromisoformat(day), ZoneInfo(zone))

    assert len(listed) == hours
    assert {hour.day.isoformat() for hour in listed} <= {day}
    assert [hour.start for hour in listed] == sorted({hour.start for hour in listed}, key=datetime.fromisoformat)


@pytest.mark.parametrize(
    ("zone", "moment", "local_hour"),
    [
        ("Europe/Berlin", "2026-11-24T22:59:59.999Z", "2026-11-24T23:00:00+01:00"),
        ("Europe/Berlin", "2026-11-24T23:00:00Z", "2026-11-25T00:00:00+01:00"),
        ("Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00+01:00"),
        ("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00+02:00"),
        ("Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00+01:00"),
        ("Asia/Kolkata", "2026-11-24T18:30:00Z", "2026-11-25T00:00:00+05:30"),
        ("Asia/Kathmandu", "2026-11-24T18:14:59Z", "2026-11-24T23:00:00+05:45"),
        ("America/New_York", "2026-11-24T04:59:59Z", "2026-11-23T23:00:00-05:00"),
    ],
)
def test_moment_belongs_to_the_hour_on_the_wall(zone: str, moment: str, local_hour: str) -> None:
    hour = hour_of(datetime.fromisoformat(moment), ZoneInfo(zone))

    assert hour.start == local_hour
    assert hour.day.isoformat() == local_hour[:10]
    assert hour in hours_of(hour.day, ZoneInfo(zone))


def test_every_moment_of_two_years_lies_in_a_listed_hour_of_its_day() -> None:
    for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"):
        zone = ZoneInfo(name)
        listed = {hour for day in days_between(date(2025, 12, 30), date(2028, 1, 2)) for hour in hours_of(day, zone)}
        first, last = (int(datetime(year, 1, 1, 0, 7, tzinfo=UTC).timestamp()) for year in (2026, 2028))
        moments = (datetime.fromtimestamp(second, UTC) for second in range(first, last, 1740))
        assert all(hour_of(moment, zone) in listed for moment in moments), name


def test_days_between_are_both_ends_and_all_inside() -> None:
    assert days_between(date(2026, 2, 28), date(2026, 3, 1)) == [date(2026, 2, 28), date(2026, 3, 1)]
    assert days_between(date(2028, 2, 28), date(2028, 2, 29)) == [date(2028, 2, 28), date(2028, 2, 29)]


def test_next_month_of_a_january_31st_is_february() -> None:
    assert next_month(date(2026, 1, 31)) == date(2026, 2, 1)
    assert next_month(date(2026, 12, 1)) == date(2027, 1, 1)
