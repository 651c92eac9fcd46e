"""The API's document says what the API does."""

import json
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from marketing import openapi
from werkzeug.test import Client


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    found: dict[str, Any] = response.get_json()
    return found


def validator(document: dict[str, Any], schema: str) -> Draft202012Validator:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    Draft202012Validator.check_schema(document["components"]["schemas"][schema])
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def parameters(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in document["paths"]["/stats"]["get"]["parameters"]}


def test_every_answer_is_as_documented(client: Client, document: dict[str, Any]) -> None:
    for group_by in parameters(document)["group_by"]["schema"]["enum"]:
        stats = client.get(f"/stats?from=2025-10-24&to=2025-11-30&group_by={group_by}")
        assert stats.status_code == 200
        assert list(validator(document, "Stats").iter_errors(stats.get_json())) == []
        assert stats.get_json()["groups"]


def test_documented_numbers_are_required_and_no_others_are_there(document: dict[str, Any]) -> None:
    stats = {"timezone": "Europe/Berlin", "from": "2025-11-24", "to": "2025-11-24", "group_by": "region"}
    measures = {"orders": 1, "items": 1, "customers": 1, "new_customers": 1}
    group = {"region": "north", **measures}
    valid = {**stats, **measures, "groups": [group]}
    check = validator(document, "Stats")
    assert check.is_valid(valid)
    assert not check.is_valid({**valid, "more": 1})
    assert not check.is_valid({**valid, "groups": [{**group, "more": 1}]})
    assert not check.is_valid({**valid, "orders": -1})
    for name in valid:
        assert not check.is_valid({key: value for key, value in valid.items() if key != name})


def test_documented_parameters_are_the_ones_that_are_known(client: Client, document: dict[str, Any]) -> None:
    known = parameters(document)
    valid = {"from": "2025-11-01", "to": "2025-11-02", "group_by": "day", "format": "json"}
    assert set(known) == set(valid)
    assert client.get("/stats", query_string=valid).status_code == 200
    for name in known:
        assert client.get("/stats", query_string={**valid, name: "wrong"}).get_json(force=True)["parameter"] == name
    assert client.get("/stats?until=2025-11-01").status_code == 400


@pytest.mark.parametrize("query", ["from=wrong", "group_by=wrong", "until=2025-11-01", "format=wrong", "to=1&to=2"])
def test_refusals_are_the_documented_problem(client: Client, document: dict[str, Any], query: str) -> None:
    response = client.get(f"/stats?{query}")
    documented = document["paths"]["/stats"]["get"]["responses"][str(response.status_code)]["content"]
    assert set(documented) == {response.mimetype}
    assert list(validator(document, "Problem").iter_errors(response.get_json(force=True))) == []


def test_page_of_the_documentation_names_everything_that_the_document_names() -> None:
    page = resources.files("marketing.page").joinpath("docs.html").read_text(encoding="utf-8")
    document = openapi.document()
    names = {parameter["name"] for parameter in document["paths"]["/stats"]["get"]["parameters"]}
    names |= {value for p in parameters(document).values() for value in p["schema"].get("enum", [])}
    names |= {name for name in document["components"]["schemas"]["Stats"]["required"] if "customers" in name}
    assert [name for name in sorted(names) if f"<code>{name}</code>" not in page] == []
    assert json.dumps(document)
