"""The API's document says what the API does, and its page needs nothing from elsewhere."""

import json
import re
from typing import Any

import pytest

VALID = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "north"}


@pytest.fixture
def document(shared_gateway: Any) -> dict[str, Any]:
    response = shared_gateway.client.get("/openapi.json")
    assert response.status_code == 200
    return dict(response.json())


def post(gateway: Any, **fields: Any) -> int:
    order = {name: value for name, value in {**VALID, **fields}.items() if value is not ...}
    return int(gateway.client.post("/orders", json=order).status_code)


def test_every_path_of_the_document_exists(shared_gateway: Any, document: dict[str, Any]) -> None:
    assert set(document["paths"]) == {"/orders", "/orders/{order_number}", "/healthz", "/readyz", "/metrics"}
    for path in ("/healthz", "/readyz", "/metrics", "/docs"):
        assert shared_gateway.client.get(path).status_code == 200


def test_documented_limits_are_the_ones_that_hold(shared_gateway: Any, document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["NewOrder"]
    name, ids, region = (schema["properties"][field] for field in ("customer_name", "product_ids", "region"))
    item = ids["items"]
    limits = [
        ({"customer_name": "x" * name["maxLength"]}, {"customer_name": "x" * (name["maxLength"] + 1)}),
        ({"customer_name": "x" * name["minLength"]}, {"customer_name": ""}),
        ({"product_ids": [1] * ids["maxItems"]}, {"product_ids": [1] * (ids["maxItems"] + 1)}),
        ({"product_ids": [1] * ids["minItems"]}, {"product_ids": []}),
        ({"product_ids": [item["maximum"]]}, {"product_ids": [item["maximum"] + 1]}),
        ({"product_ids": [item["minimum"]]}, {"product_ids": [item["minimum"] - 1]}),
        ({"region": "a" * 32}, {"region": "a" * 33}),
    ]
    for accepted, refused in limits:
        assert post(shared_gateway, **accepted) == 201, accepted
        assert post(shared_gateway, **refused) == 422, refused
    assert re.fullmatch(region["pattern"], "a" * 32)
    assert not re.fullmatch(region["pattern"], "a" * 33)
    assert schema["additionalProperties"] is False
    assert post(shared_gateway, unknown=1) == 422
    for field in schema["required"]:
        assert post(shared_gateway, **{field: ...}) == 422
    for alternative in schema["oneOf"]:
        assert post(shared_gateway, **{"product_ids": ..., alternative["required"][0]: [1]}) == 201


def test_answers_are_documented_and_have_the_documented_fields(shared_gateway: Any, document: dict[str, Any]) -> None:
    documented = document["paths"]["/orders"]["post"]["responses"]
    schemas = document["components"]["schemas"]
    placed = shared_gateway.post(VALID, key="documented")
    assert set(placed.json()) == set(schemas["PlacedOrder"]["properties"])
    answers = [
        placed,
        shared_gateway.post(VALID, key="documented"),
        shared_gateway.post({**VALID, "region": "south"}, key="documented"),
        shared_gateway.client.post("/orders", content=b"{", headers={"Content-Type": "application/json"}),
        shared_gateway.client.post("/orders", content=b"{}"),
        shared_gateway.client.post("/orders", content=b" " * 70_000, headers={"Content-Type": "application/json"}),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 422, 400, 415, 413]
    for answer in answers:
        media_types = documented[str(answer.status_code)]["content"]
        assert answer.headers["content-type"] in media_types
    read = shared_gateway.client.get(placed.headers["location"]).json()
    assert set(read) == set(schemas["OrderView"]["properties"])
    assert set(document["paths"]["/orders/{order_number}"]["get"]["responses"]) == {"200", "404", "431", "500", "503"}


def test_every_operation_documents_what_any_request_may_get(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    for operation in operations:
        assert {"431", "500"} <= set(operation["responses"])
        if "503" in operation["responses"]:
            assert set(operation["responses"]["503"]["headers"]) == {"Retry-After"}
    placed = document["components"]["schemas"]["PlacedOrder"]["properties"]["status"]
    assert placed["const"] == "received"
    assert "done" in document["components"]["schemas"]["OrderView"]["properties"]["status"]["enum"]


def test_every_reference_in_the_document_is_there(document: dict[str, Any]) -> None:
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]


def test_documentation_page_loads_only_what_the_gateway_serves(shared_gateway: Any) -> None:
    page = shared_gateway.client.get("/docs").text
    assert not re.search(r"https?://", page)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 3
    for path in loaded:
        asset = shared_gateway.client.get(path)
        assert asset.status_code == 200
        assert len(asset.content) > 1000
