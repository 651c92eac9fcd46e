"""What `POST /orders` takes and refuses: every limit, from both sides. A refused order leaves nothing behind."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
VALID = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "north"}
BODY = json.dumps(VALID).encode()


def with_fields(**fields: Any) -> bytes:
    return json.dumps({**VALID, **fields}).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in VALID.items() if name != field}).encode()


def padded(size: int) -> bytes:
    """A valid body of that many bytes: white space is allowed between tokens."""
    return BODY[:-1] + b" " * (size - len(BODY)) + b"}"


def raw_name(name: bytes) -> bytes:
    return b'{"customer_name": "%b", "product_ids": [1]}' % name


@pytest.mark.parametrize(
    ("situation", "body", "expected"),
    [
        ("plain", BODY, VALID),
        ("alias", b'{"customer_name": "D", "products_ids": [1]}', {"customer_name": "D", "product_ids": [1]}),
        ("no region", without("region"), {"region": "main"}),
        ("longest region", with_fields(region="a" * 32), {"region": "a" * 32}),
        ("region of digits and dashes", with_fields(region="-0-"), {"region": "-0-"}),
        ("name is trimmed", with_fields(customer_name=" \t Daníel\n"), {"customer_name": "Daníel"}),
        ("name trimmed of a no-break space", with_fields(customer_name="\u00a0D\u3000"), {"customer_name": "D"}),
        ("no-break space inside", with_fields(customer_name="D\u00a0H"), {"customer_name": "D\u00a0H"}),
        ("200 characters beyond the BMP", with_fields(customer_name="🛒" * 200), {"customer_name": "🛒" * 200}),
        ("200 and white space", with_fields(customer_name=" " + "x" * 200 + " "), {"customer_name": "x" * 200}),
        ("quotes and backslash", with_fields(customer_name='a"b\\c/d'), {"customer_name": 'a"b\\c/d'}),
        ("decomposed", with_fields(customer_name="e\u0301"), {"customer_name": "e\u0301"}),
        ("right to left, joiners", with_fields(customer_name="مريم\u200d"), {"customer_name": "مريم\u200d"}),
        ("line separator", with_fields(customer_name="a\u2028b"), {"customer_name": "a\u2028b"}),
        ("escaped surrogate pair", raw_name(b"\\ud83d\\uded2"), {"customer_name": "🛒"}),
        ("one id", with_fields(product_ids=[1]), {"product_ids": [1]}),
        ("500 ids", with_fields(product_ids=[7] * 500), {"product_ids": [7] * 500}),
        ("largest id", with_fields(product_ids=[2**53 - 1]), {"product_ids": [2**53 - 1]}),
        ("exactly 64 KiB", padded(65_536), VALID),
        ("white space around", b" \r\n\t" + BODY + b"\n", VALID),
    ],
)
def test_order_within_the_limits_is_accepted(shared_gateway: Any, situation: str, body: bytes, expected: Any) -> None:
    response = shared_gateway.client.post("/orders", content=body, headers=JSON)
    assert response.status_code == 201, response.text
    placed = response.json()
    assert {name: placed[name] for name in expected} == expected
    assert placed["status"] == "received"
    assert response.headers["location"] == f"/orders/{placed['order_number']}"
    read = shared_gateway.client.get(response.headers["location"]).json()
    assert {name: read[name] for name in placed} == placed


@pytest.mark.parametrize(
    ("situation", "body", "status", "field"),
    [
        ("empty", b"", 400, None),
        ("not JSON", b"customer_name=D", 400, None),
        ("cut off", BODY[:-1], 400, None),
        ("something after it", BODY + b"{}", 400, None),
        ("trailing comma", b'{"customer_name": "D", "product_ids": [1],}', 400, None),
        ("NaN", with_fields(product_ids=[float("nan")]), 400, None),
        ("Infinity", with_fields(product_ids=[float("inf")]), 400, None),
        ("nested deeply", b"[" * 30_000 + b"]" * 30_000, 400, None),
        ("byte-order mark", b"\xef\xbb\xbf" + BODY, 400, None),
        ("UTF-16", BODY.decode().encode("utf-16"), 400, None),
        ("Latin-1", raw_name("Daníel".encode("latin-1")), 400, None),
        ("overlong UTF-8", raw_name(b"\xc0\x80"), 400, None),
        ("raw control character", raw_name(b"a\x01b"), 400, None),
        ("an array", b"[]", 422, None),
        ("a string", b'"x"', 422, None),
        ("null", b"null", 422, None),
        ("no name", without("customer_name"), 422, "customer_name"),
        ("null as name", with_fields(customer_name=None), 422, "customer_name"),
        ("number as name", with_fields(customer_name=5), 422, "customer_name"),
        ("empty name", with_fields(customer_name=""), 422, "customer_name"),
        ("blank name", with_fields(customer_name=" \u00a0\t"), 422, "customer_name"),
        ("201 characters", with_fields(customer_name="x" * 201), 422, "customer_name"),
        ("NUL in the name", with_fields(customer_name="a\x00b"), 422, "customer_name"),
        ("newline in the name", with_fields(customer_name="a\nb"), 422, "customer_name"),
        ("DEL in the name", with_fields(customer_name="a\x7fb"), 422, "customer_name"),
        ("C1 control in the name", with_fields(customer_name="a\x85b"), 422, "customer_name"),
        ("lone surrogate", raw_name(b"a\\ud800b"), 422, "customer_name"),
        ("no ids", without("product_ids"), 422, "product_ids"),
        ("ids no array", with_fields(product_ids="1"), 422, "product_ids"),
        ("ids an object", with_fields(product_ids={"1": 1}), 422, "product_ids"),
        ("empty ids", with_fields(product_ids=[]), 422, "product_ids"),
        ("501 ids", with_fields(product_ids=[1] * 501), 422, "product_ids"),
        ("zero", with_fields(product_ids=[1, 0]), 422, "product_ids"),
        ("negative", with_fields(product_ids=[-1]), 422, "product_ids"),
        ("2^53", with_fields(product_ids=[2**53]), 422, "product_ids"),
        ("5,000 digits", b'{"customer_name": "D", "product_ids": [%b]}' % (b"9" * 5000), 422, "product_ids"),
        ("a bool", with_fields(product_ids=[True]), 422, "product_ids"),
        ("a float", with_fields(product_ids=[1.0]), 422, "product_ids"),
        ("an exponent", b'{"customer_name": "D", "product_ids": [1e2]}', 422, "product_ids"),
        ("a string", with_fields(product_ids=["1"]), 422, "product_ids"),
        ("null among ids", with_fields(product_ids=[None]), 422, "product_ids"),
        ("bad alias", b'{"customer_name": "D", "products_ids": [0]}', 422, "products_ids"),
        ("both spellings", with_fields(products_ids=[2, 4, 42]), 422, "product_ids"),
        ("region null", with_fields(region=None), 422, "region"),
        ("region empty", with_fields(region=""), 422, "region"),
        ("region too long", with_fields(region="a" * 33), 422, "region"),
        ("region in capitals", with_fields(region="North"), 422, "region"),
        ("region with a dot", with_fields(region="a.b"), 422, "region"),
        ("region ends in a newline", with_fields(region="a\n"), 422, "region"),
        ("region a number", with_fields(region=1), 422, "region"),
        ("unknown field", with_fields(colour="red"), 422, "colour"),
        ("unknown field, lone surrogate", BODY[:-1] + b', "\\ud800": 1}', 422, "\ud800"),
        ("name twice", BODY[:-1] + b', "customer_name": "E"}', 422, "customer_name"),
        ("key twice, in an unknown field", BODY[:-1] + b', "x": [{"y": 1, "y": 1}]}', 422, "x"),
        ("key twice, among ids", b'{"customer_name": "D", "product_ids": [{"a": 1, "a": 2}]}', 422, "product_ids"),
        ("5,000 digits as name", b'{"customer_name": %b, "product_ids": [1]}' % (b"1" * 5000), 422, "customer_name"),
        ("5,000 digits in an unknown field", BODY[:-1] + b', "x": -%b}' % (b"1" * 5000), 422, "x"),
        ("5,000 digits alone", b"1" * 5000, 422, None),
        ("5,000 digits in no JSON", b"[%b," % (b"1" * 5000), 400, None),
    ],
)
def test_order_outside_the_limits_is_refused_by_field(
    shared_gateway: Any, rows: Callable[..., Any], situation: str, body: bytes, status: int, field: str | None
) -> None:
    before = rows(shared_gateway.database_url, "SELECT count(*) FROM orders")
    response = shared_gateway.client.post("/orders", content=body, headers=JSON)
    problem = assert_problem(response, status)
    named = {error["field"] for error in problem.get("errors", [])}
    assert named == (set() if field is None else {field})
    assert field is None or field in problem["detail"]
    assert "connection" not in response.headers
    assert rows(shared_gateway.database_url, "SELECT count(*) FROM orders") == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"customer_name": "D", "product_ids": [{"a": 1, "a": 2}]}', "#/product_ids/0"),
        (b'{"customer_name": "D", "product_ids": [2, %b]}' % (b"1" * 5000), "#/product_ids/1"),
        (b'{"customer_name": %b, "product_ids": [2]}' % (b"1" * 5000), "#/customer_name"),
        (BODY[:-1] + b', "region": "a"}', "#/region"),
    ],
)
def test_pointer_leads_to_the_value_at_fault(shared_gateway: Any, body: bytes, pointer: str) -> None:
    problem = assert_problem(shared_gateway.client.post("/orders", content=body, headers=JSON), 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_all_fields_at_fault_are_named_at_once(shared_gateway: Any) -> None:
    response = shared_gateway.client.post("/orders", json={"customer_name": "", "product_ids": [1, 0], "x": 1})
    problem = assert_problem(response, 422)
    assert [(error["field"], error["pointer"]) for error in problem["errors"]] == [
        ("customer_name", "#/customer_name"),
        ("product_ids", "#/product_ids/1"),
        ("x", "#/x"),
    ]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("Application/JSON", 201),
        ("application/json; charset=utf-8", 201),
        ("application/json;charset=UTF-8", 201),
        ('application/json; charset="utf-8"', 201),
        ("application/vnd.shop.order+json", 201),
        ("application/problem+JSON; charset=utf-8", 201),
        (None, 415),
        ("", 415),
        ("text/plain", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
        ("application/json; charset=latin-1", 415),
        ("application/json; charset=utf-16", 415),
        ("application/+json", 415),
        ("application/json, text/plain", 415),
    ],
)
def test_content_type_decides(shared_gateway: Any, content_type: str | None, status: int) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = shared_gateway.client.post("/orders", content=BODY, headers=headers)
    assert response.status_code == status
    if status != 201:
        assert_problem(response, status)


def test_two_content_types_are_refused(shared_gateway: Any) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Type", "application/json")]
    assert_problem(shared_gateway.client.post("/orders", content=BODY, headers=headers), 415)


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br", 415), ("identity", 201)])
def test_compressed_body_is_refused(shared_gateway: Any, encoding: str, status: int) -> None:
    body = gzip.compress(BODY) if encoding == "gzip" else BODY
    response = shared_gateway.client.post("/orders", content=body, headers=JSON | {"Content-Encoding": encoding})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("situation", "key"),
    [
        ("empty", b""),
        ("256 characters", b"k" * 256),
        ("a space inside", b"a b"),
        ("a tab inside", b"a\tb"),
        ("not ASCII", "schlüssel".encode()),
    ],
)
def test_bad_idempotency_key_is_refused(shared_gateway: Any, situation: str, key: bytes) -> None:
    response = shared_gateway.client.post("/orders", content=BODY, headers=[*JSON.items(), (b"Idempotency-Key", key)])
    assert "Idempotency-Key" in assert_problem(response, 400)["detail"]


def test_two_idempotency_keys_are_refused(shared_gateway: Any) -> None:
    headers = [("Content-Type", "application/json"), ("Idempotency-Key", "same"), ("Idempotency-Key", "same")]
    assert_problem(shared_gateway.client.post("/orders", content=BODY, headers=headers), 400)


@pytest.mark.parametrize("key", ["k", "!" + "~" * 254])
def test_key_of_1_to_255_visible_characters_is_taken(shared_gateway: Any, key: str) -> None:
    assert shared_gateway.post(key=key).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/orders", 405, "POST"),
        ("PUT", "/orders", 405, "POST"),
        ("DELETE", "/orders", 405, "POST"),
        ("OPTIONS", "/orders", 405, "POST"),
        ("POST", "/orders/7KQ2-M9XD-4TWE", 405, "GET, HEAD"),
        ("DELETE", "/orders/7KQ2-M9XD-4TWE", 405, "GET, HEAD"),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("GET", "/nothing", 404, None),
        ("POST", "/orders/", 404, None),
        ("GET", "/orders/", 404, None),
        ("GET", "/orders/a/b", 404, None),
        ("POST", "/order", 404, None),
        ("GET", "/docs/../app.py", 404, None),
        ("GET", "/docs/unknown.js", 404, None),
        ("GET", "/orders/7KQ2-M9XD-4TWE", 404, None),
        ("GET", "/orders/nonsense", 404, None),
        ("GET", "/orders/" + "x" * 5000, 404, None),
        ("GET", "/orders/%00", 404, None),
    ],
)
def test_unknown_path_or_method_is_a_problem(
    shared_gateway: Any, method: str, path: str, status: int, allow: str | None
) -> None:
    response = shared_gateway.client.request(method, path)
    assert_problem(response, status)
    assert response.headers.get("allow") == allow


def assert_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert all(isinstance(problem[name], str) and problem[name] for name in ("type", "title", "detail"))
    return problem
