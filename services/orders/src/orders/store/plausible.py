"""Times that others tell."""

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD_MAX = timedelta(days=1)
"""By how much another machine's clock may be ahead."""


def plausible_time(told: datetime | None) -> datetime:
    """The time itself, or this moment in place of one that cannot be true: a year 9999 would win for ever."""
    now = datetime.now(UTC)
    return told if told is not None and EARLIEST <= told <= now + AHEAD_MAX else now
