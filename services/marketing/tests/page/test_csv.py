"""`/stats` as CSV: the same numbers, for spreadsheets."""

import csv
import io
from typing import Any, get_args

import pytest
from marketing.csv_table import csv_table
from marketing.period import GroupBy
from werkzeug.test import Client, TestResponse

NOVEMBER = "/stats?from=2025-11-01&to=2025-11-30"


def rows(response: TestResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.get_data(as_text=True), newline="")))


@pytest.mark.parametrize("group_by", get_args(GroupBy))
def test_csv_holds_the_numbers_of_the_json(client: Client, group_by: str) -> None:
    groups: list[dict[str, Any]] = client.get(f"{NOVEMBER}&group_by={group_by}").get_json()["groups"]

    response = client.get(f"{NOVEMBER}&group_by={group_by}&format=csv")
    assert response.content_type == "text/csv; charset=utf-8; header=present"
    assert rows(response) == [{name: str(value) for name, value in group.items()} for group in groups]
    assert sum(group["orders"] for group in groups) >= 20


def test_file_is_named_after_what_is_in_it(client: Client) -> None:
    response = client.get(f"{NOVEMBER}&group_by=region&format=csv")
    name = "marketing-2025-11-01-to-2025-11-30-by-region.csv"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'


def test_lines_end_as_rfc_4180_says(client: Client) -> None:
    body = client.get(f"{NOVEMBER}&group_by=region&format=csv").data
    assert body.startswith(b"region,orders,items,customers,new_customers\r\n")
    assert body.endswith(b"\r\n")
    assert body.count(b"\n") == body.count(b"\r\n") == 4


@pytest.mark.parametrize(
    ("accept", "given", "expected"),
    [
        ("text/csv", "", "text/csv"),
        ("text/csv", "&format=json", "application/json"),
        ("application/json", "&format=csv", "text/csv"),
        ("application/json, text/csv;q=0.5", "", "application/json"),
        ("text/csv, application/json;q=0.5", "", "text/csv"),
        ("*/*", "", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", "application/json"),
        ("image/png", "", "application/json"),
    ],
)
def test_format_decides_else_what_is_accepted(client: Client, accept: str, given: str, expected: str) -> None:
    response = client.get(NOVEMBER + given, headers={"Accept": accept})
    assert response.mimetype == expected
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("given", "reason"), [("xml", "expected one of json, csv, got: 'xml'"), ("", "expected one of")]
)
def test_other_format_is_refused_by_name(client: Client, given: str, reason: str) -> None:
    response = client.get(f"{NOVEMBER}&format={given}")
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    problem = response.get_json(force=True)
    assert problem["parameter"] == "format"
    assert reason in problem["detail"]
    assert client.get(f"{NOVEMBER}&format=csv&format=csv").status_code == 400


def test_wrong_period_is_refused_as_problem_whatever_the_format(client: Client) -> None:
    response = client.get("/stats?from=2025-02-30&format=csv", headers={"Accept": "text/csv"})
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert "Content-Disposition" not in response.headers


@pytest.mark.parametrize(
    ("region", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("north", "north"),
        ('a "b", c', 'a "b", c'),
        ("Köln\r\n", "Köln\r\n"),
    ],
)
def test_text_never_becomes_a_formula_and_reads_back(region: str, cell: str) -> None:
    numbers = {"orders": 1, "items": 2, "customers": 1, "new_customers": 0}
    table = csv_table({"group_by": "region", "groups": [{"region": region, **numbers}]})
    assert list(csv.reader(io.StringIO(table, newline="")))[1:] == [[cell, "1", "2", "1", "0"]]
