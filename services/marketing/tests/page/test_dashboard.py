"""The page's one request for numbers."""

from datetime import date

import pytest
from marketing.page.dashboard import PRESETS, ask
from marketing.period import ParameterError, Period
from werkzeug.test import Client


def period(first: str, last: str) -> Period:
    return Period(date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    ("name", "today", "first", "last", "previous_first", "previous_last"),
    [
        ("today", "2026-11-24", "2026-11-24", "2026-11-24", "2026-11-23", "2026-11-23"),
        ("7-days", "2026-11-24", "2026-11-18", "2026-11-24", "2026-11-11", "2026-11-17"),
        ("30-days", "2026-03-01", "2026-01-31", "2026-03-01", "2026-01-01", "2026-01-30"),
        ("this-month", "2026-11-24", "2026-11-01", "2026-11-24", "2026-10-01", "2026-10-24"),
        ("this-month", "2026-03-31", "2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
        ("this-month", "2026-01-01", "2026-01-01", "2026-01-01", "2025-12-01", "2025-12-01"),
        ("last-month", "2026-03-31", "2026-02-01", "2026-02-28", "2026-01-01", "2026-01-31"),
        ("last-month", "2026-01-15", "2025-12-01", "2025-12-31", "2025-11-01", "2025-11-30"),
        ("12-months", "2026-11-24", "2025-12-01", "2026-11-24", "2024-12-01", "2025-11-24"),
        ("12-months", "2026-12-31", "2026-01-01", "2026-12-31", "2025-01-01", "2025-12-31"),
        ("12-months", "2028-02-29", "2027-03-01", "2028-02-29", "2026-03-01", "2027-02-28"),
    ],
)
def test_preset_is_a_period_of_the_business_and_has_one_before_it(
    name: str, today: str, first: str, last: str, previous_first: str, previous_last: str
) -> None:
    question = ask({"period": [name]}, date.fromisoformat(today))
    assert question.period == period(first, last)
    assert question.previous == period(previous_first, previous_last)


def test_own_dates_are_compared_with_as_many_days_before() -> None:
    question = ask({"from": ["2026-11-03"], "to": ["2026-11-05"]}, date(2026, 11, 24))
    assert (question.name, question.period) == (None, period("2026-11-03", "2026-11-05"))
    assert question.previous == period("2026-10-31", "2026-11-02")
    assert ask({}, date(2026, 11, 24)).name == "30-days"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"period": ["week"]}, "period"),
        ({"period": ["today", "today"]}, "period"),
        ({"period": ["today"], "from": ["2026-11-01"]}, "from"),
        ({"from": ["yesterday"]}, "from"),
        ({"page": ["1"], "to": ["2026-11-01"]}, "page"),
        ({"group_by": ["hour"], "from": ["2026-11-01"]}, "group_by"),
        ({"format": ["csv"], "from": ["2026-11-01"]}, "format"),
        ({"page": ["1"]}, "page"),
    ],
)
def test_wrong_parameter_is_named(query: dict[str, list[str]], parameter: str) -> None:
    with pytest.raises(ParameterError) as refused:
        ask(query, date(2026, 11, 24))
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    ("first", "last", "interval"),
    [
        ("2025-11-04", "2025-11-04", "hour"),
        ("2025-10-10", "2025-10-11", "hour"),
        ("2025-10-01", "2025-11-30", "day"),
        ("2025-09-01", "2025-11-30", "day"),
        ("2025-09-01", "2025-12-01", "day"),
        ("2025-09-01", "2025-12-02", "week"),
        ("2025-02-04", "2025-11-30", "week"),
        ("2025-02-03", "2025-11-30", "month"),
        ("2024-12-01", "2025-11-30", "month"),
        ("2016-01-01", "2025-12-31", "month"),
    ],
)
def test_one_answer_holds_what_stats_would_say_in_several(client: Client, first: str, last: str, interval: str) -> None:
    answer = client.get(f"/dashboard?from={first}&to={last}").get_json()

    def stats(group_by: str) -> dict[str, object]:
        found: dict[str, object] = client.get(f"/stats?from={first}&to={last}&group_by={group_by}").get_json()
        return found

    assert (answer["interval"], answer["timezone"]) == (interval, "Europe/Berlin")
    assert answer["over_time"] == stats(interval)["groups"]
    regions, products = stats("region")["groups"], stats("product")["groups"]
    assert isinstance(regions, list)
    assert isinstance(products, list)
    assert answer["regions"]["groups"] == sorted(regions, key=lambda group: -group["orders"])
    assert answer["products"] == {"count": len(products), "groups": products[:20]}
    assert {name: answer[name] for name in ("orders", "items", "customers", "new_customers")} == {
        name: stats("day")[name] for name in ("orders", "items", "customers", "new_customers")
    }
    assert answer["first_day"] == "2025-10-01"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_answered_and_named(client: Client, name: str) -> None:
    response = client.get(f"/dashboard?period={name}")
    assert (response.status_code, response.get_json()["period"]) == (200, name)
    assert response.headers["Cache-Control"] == "no-store"
    assert client.get("/dashboard?period=week").status_code == 400


def test_both_databases_give_the_same_answer(client_of_each: Client, client: Client) -> None:
    whole = [asked.get("/dashboard?from=2025-10-01&to=2025-11-30").get_json() for asked in (client_of_each, client)]
    for answer in whole:
        del answer["generated_at"]
    assert whole[0] == whole[1]
    assert whole[0]["orders"] == 40
