"""The query's parameters: what is asked for, and what is refused by name."""

from datetime import date

import pytest
from marketing.period import ParameterError, Period, parse

TODAY = date(2026, 11, 24)


def period(first: str, last: str) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (period("2026-10-26", "2026-11-24"), "day")),
        ({"group_by": ["product"]}, (period("2026-10-26", "2026-11-24"), "product")),
        ({"from": ["2026-11-01"]}, (period("2026-11-01", "2026-11-24"), "day")),
        ({"to": ["2026-01-01"]}, (period("2025-12-03", "2026-01-01"), "day")),
        ({"from": ["2026-11-24"], "to": ["2026-11-24"]}, (period("2026-11-24", "2026-11-24"), "day")),
        ({"from": ["2027-01-01"], "to": ["2027-01-31"]}, (period("2027-01-01", "2027-01-31"), "day")),
        (
            {"from": ["2024-02-29"], "to": ["2025-02-28"], "group_by": ["hour"]},
            (period("2024-02-29", "2025-02-28"), "hour"),
        ),
        ({"to": ["1970-01-02"]}, (period("1970-01-01", "1970-01-02"), "day")),
        ({"from": ["9998-12-31"], "to": ["9998-12-31"]}, (period("9998-12-31", "9998-12-31"), "day")),
    ],
)
def test_query_names_a_period_and_a_grouping(query: dict[str, list[str]], expected: tuple[Period, str]) -> None:
    assert parse(query, TODAY) == expected


@pytest.mark.parametrize(
    ("query", "parameter", "reason"),
    [
        ({"group_by": ["year"]}, "group_by", "one of day, hour, week, month, region, product, got: 'year'"),
        ({"group_by": [""]}, "group_by", "expected one of"),
        ({"group_by": ["day", "hour"]}, "group_by", "given 2 times"),
        ({"from": ["24.11.2026"]}, "from", "expected a day.*such as 2026-11-24"),
        ({"from": ["20261124"]}, "from", "expected a day"),
        ({"from": ["2026-W48-2"]}, "from", "expected a day"),
        ({"from": ["2026-11-24\n"]}, "from", "expected a day"),
        ({"from": ["٢٠٢٦-١١-٢٤"]}, "from", "expected a day"),
        ({"to": ["2026-02-30"]}, "to", "expected a day"),
        ({"to": ["2026-11-24T00:00:00Z"]}, "to", "expected a day"),
        ({"to": [""]}, "to", "expected a day"),
        ({"to": ["9999-12-31"]}, "to", "expected a day from 1970-01-01 to 9998-12-31"),
        ({"to": ["0001-01-01"]}, "to", "expected a day"),
        ({"from": ["2026-11-25"]}, "from", "2026-11-25 is after today, which is 2026-11-24"),
        ({"from": ["2026-11-02"], "to": ["2026-11-01"]}, "from", "is after to"),
        ({"from": ["2000-01-01"]}, "from", "grouped by day, 3660 at most"),
        ({"from": ["2025-11-23"], "group_by": ["hour"]}, "from", "367 days up to .*by hour, 366 at most"),
        ({"until": ["2026-11-24"]}, "until", "unknown parameter; known are from, to, group_by, format"),
    ],
)
def test_wrong_parameter_is_named_with_what_is_expected(
    query: dict[str, list[str]], parameter: str, reason: str
) -> None:
    with pytest.raises(ParameterError, match=reason) as refused:
        parse(query, TODAY)
    assert refused.value.parameter == parameter
