"""Whatever comes in, there is one answer to it: the two HTTP interfaces, from their own documents."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
import sqlalchemy as sa
from eventbus.testing.waiting import wait_until
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode

from eventbus import database

from .exploring import explore
from .parts import Parts
from .shop import Shop

SCENARIO = 13
PARTS = Parts(gateways=1, departments=("marketing",))
EXAMPLES = 30
PROBLEM = "application/problem+json"
SAID_IN_WORDS = {"customer_name", "product_ids", "products_ids"}
"""Fields of which a schema cannot say all: no control characters, more than white space, and 1.0 is no integer."""
_CHECKS_OF_OUR_OWN = {"positive_data_acceptance"}

load_all_checks()


@pytest.fixture(scope="module")
def rows(shop: Shop) -> Any:
    """How many orders are stored."""
    engine = database.create_engine(shop.database_url("orders"), writes=False)

    def count() -> int:
        with engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM orders")).scalar_one())

    yield count
    engine.dispose()


def checks() -> list[Any]:
    return CHECKS.get_by_names([name for name in CHECKS.get_all_names() if name not in _CHECKS_OF_OUR_OWN])


def operations(document: Any, mode: GenerationMode) -> Iterator[Any]:
    """All operations; those that take nothing but text in their path cannot be asked wrongly."""
    for found in document.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.POSITIVE or operation.method.upper() == "POST" or operation.path == "/stats":
            yield operation


def validated(case: Any, session: requests.Session) -> Any:
    """The answer, which is as the document says: status, media type, headers, fields."""
    answer = case.call(session=session, timeout=30)
    case.validate_response(answer, checks=checks())
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == [PROBLEM]
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert {"type", "title", "detail"} <= set(problem)
    return answer


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
def test_orders_by_the_gateways_own_document(shop: Shop, rows: Any, seed: int, mode: GenerationMode) -> None:
    """Any request to the gateway has a documented answer, and what was answered with 201 is stored once"""
    shop.wait_ready()
    gateway = shop.one("gateway")
    document = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")
    before, accepted = rows(), []
    session = requests.Session()

    def ask(case: Any) -> None:
        answer = validated(case, session)
        assert answer.status_code < 500, answer.text
        if (case.method.upper(), case.path) == ("POST", "/orders"):
            if answer.status_code == 201:
                accepted.append(answer.json()["order_number"])
            if mode is GenerationMode.POSITIVE and answer.status_code not in (200, 201):
                names = {error["field"] for error in answer.json().get("errors", [])}
                assert names <= SAID_IN_WORDS, answer.text
                assert names or answer.json()["type"].endswith("idempotency-key-reused"), answer.text

    for operation in operations(document, mode):
        explore(seed, EXAMPLES, ask, case=operation.as_strategy(generation_mode=mode))
    assert rows() - before == len(set(accepted)) == len(accepted)
    for number in accepted:
        assert session.get(f"{gateway.url}/orders/{number}", timeout=30).status_code == 200
    wait_until(lambda: marketing_orders(shop) == rows(), 60, "marketing has counted every order that was stored")


def marketing_orders(shop: Shop) -> int:
    answer = requests.get(f"{shop.one('marketing').url}/stats", timeout=30)
    return int(answer.json()["orders"])


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
def test_numbers_by_marketings_own_document(shop: Shop, seed: int, mode: GenerationMode) -> None:
    """Any question to marketing has a documented answer"""
    shop.wait_ready()
    url = shop.one("marketing").url
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    session = requests.Session()

    def ask(case: Any) -> None:
        assert validated(case, session).status_code < 500

    for operation in operations(document, mode):
        explore(seed, 2 * EXAMPLES, ask, case=operation.as_strategy(generation_mode=mode))


def test_paths_and_methods_that_nobody_documented(shop: Shop, seed: int) -> None:
    """Any path and method is answered by problem details, by every HTTP server of the shop that promises so"""
    shop.wait_ready()
    servers = [shop.one("gateway").url, shop.one("marketing").url]
    paths = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=40)

    def ask(server: str, method: str, path: str) -> None:
        request = requests.Request(method, server).prepare()
        request.url = f"{server}/x{path}"
        with requests.Session() as session:
            answer = session.send(request, timeout=30)
        assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)
        if answer.headers.get("content-type") == PROBLEM:
            assert json.loads(answer.content or b"{}").get("status", answer.status_code) == answer.status_code

    methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
    explore(seed, EXAMPLES, ask, server=st.sampled_from(servers), method=methods, path=paths)
