"""Whatever bytes come: an order within the limits, or a problem."""

import json
from typing import Any

from eventbus.contract.order import PRODUCT_ID_MAX
from hypothesis import given
from hypothesis import strategies as st
from orders.gateway.parsing import parse_order
from orders.gateway.problems import ProblemError
from orders.model import OrderRequest

TEXT = st.text(st.characters(codec=None, categories=None), max_size=210)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
ALMOST_AN_ORDER = st.fixed_dictionaries(
    {},
    optional={
        "customer_name": TEXT | JSON,
        "product_ids": st.lists(st.integers(-1, 2**54) | JSON, max_size=4) | JSON,
        "products_ids": st.lists(st.integers(1, 9), min_size=1, max_size=2) | JSON,
        "region": st.from_regex(r"[a-z0-9-]{0,33}") | JSON,
    },
)


def parsed(body: bytes) -> OrderRequest | ProblemError:
    try:
        return parse_order(body, "main")
    except ProblemError as problem:
        return problem


@given(st.binary(max_size=200) | st.builds(lambda document: json.dumps(document).encode(), ALMOST_AN_ORDER | JSON))
def test_any_body_is_an_order_within_the_limits_or_a_problem(body: bytes) -> None:
    order = parsed(body)
    if isinstance(order, ProblemError):
        assert order.status in (400, 422)
        assert json.loads(order.body())["status"] == order.status
        return
    assert 1 <= len(order.customer_name) <= 200
    order.customer_name.encode("utf-8")
    assert 1 <= len(order.product_ids) <= 500
    assert all(type(each) is int and 1 <= each <= PRODUCT_ID_MAX for each in order.product_ids)
    assert order.region.encode("ascii").decode().strip() == order.region


@given(JSON.filter(lambda value: not isinstance(value, dict)))
def test_json_that_is_no_object_is_no_order(document: Any) -> None:
    refused = parsed(json.dumps(document).encode())
    assert isinstance(refused, ProblemError)
    assert refused.status in (400, 422)
