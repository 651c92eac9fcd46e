"""Which bodies are events of the contract, and which are parked with which reason."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from eventbus.contract import CONTENT_TYPE, Event, OrderCreated, UndecodableError, decode
from eventbus.contract.examples import EXAMPLES
from eventbus.testing import a_result, an_announcement, an_event, an_order
from hypothesis import given
from hypothesis import strategies as st

KEY = "order.created.north"
Change = Callable[[dict[str, Any]], object]


def body(change: Change | None = None, event: Event[Any] | None = None) -> bytes:
    attributes = json.loads((event or an_event(region="north")).encode())
    if change:
        change(attributes)
    return json.dumps(attributes).encode()


def with_data(**fields: Any) -> Change:
    return lambda attributes: attributes["data"].update(fields)


def without(*path: str) -> Change:
    def change(attributes: dict[str, Any]) -> None:
        for name in path[:-1]:
            attributes = attributes[name]
        del attributes[path[-1]]

    return change


def setting(**attributes: Any) -> Change:
    return lambda event: event.update(attributes)


@pytest.mark.parametrize("event_type", sorted(EXAMPLES))
def test_what_is_encoded_decodes_to_the_same(event_type: str) -> None:
    event = EXAMPLES[event_type]
    qualifier = event.data.region if event_type == "order.created" else event.data.department
    assert decode(event.encode(), CONTENT_TYPE, f"{event_type}.{qualifier}") == event


@pytest.mark.parametrize(
    "content_type",
    [
        *(CONTENT_TYPE, "application/json", None, "", "APPLICATION/JSON", "Application/CloudEvents+JSON"),
        *("application/json; charset=utf-8", 'application/cloudevents+json;charset="UTF-8"', " application/json "),
    ],
)
def test_content_type_is_accepted_without_case_and_parameters(content_type: str | None) -> None:
    assert decode(body(), content_type, KEY).type == "order.created"


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/jsonp", "json", ";"])
def test_other_content_type_is_parked(content_type: str) -> None:
    with pytest.raises(UndecodableError, match="content type"):
        decode(body(), content_type, KEY)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(setting(specversion="1.1"), id="specversion 1.x"),
        pytest.param(setting(ourowntag={"any": ["thing"]}), id="unknown attribute"),
        pytest.param(with_data(gift_wrap=True), id="unknown data field"),
        pytest.param(without("time"), id="no time"),
        pytest.param(setting(time="yesterday"), id="time that is none"),
        pytest.param(without("sequence"), id="no sequence"),
        pytest.param(setting(sequence=7), id="sequence that is no text"),
        pytest.param(without("datacontenttype"), id="no datacontenttype"),
        pytest.param(setting(traceparent=7), id="traceparent that is no text"),
        pytest.param(setting(source="/elsewhere", subject="another"), id="source and subject are the sender's"),
        pytest.param(with_data(customer_name="x" * 200), id="200 characters"),
        pytest.param(with_data(customer_name="🛒" * 200), id="200 code points outside the BMP"),
        pytest.param(with_data(customer_name="  Daníel \n"), id="white space around a name"),
        pytest.param(with_data(product_ids=[1] * 500), id="500 product ids"),
        pytest.param(with_data(product_ids=[2**53 - 1]), id="largest product id"),
        pytest.param(with_data(created_at="2026-11-24T08:19:46.123456789+01:00"), id="nanoseconds and a zone"),
        pytest.param(with_data(created_at="2016-12-31T23:59:60Z"), id="leap second"),
    ],
)
def test_accepted(change: Change) -> None:
    assert isinstance(decode(body(change), CONTENT_TYPE, KEY).data, OrderCreated)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (setting(specversion="0.3"), "specversion"),
        (setting(specversion="2.0"), "specversion"),
        (setting(specversion=1.0), "specversion"),
        (setting(specversion="1.0\n"), "specversion"),
        *((without(name), name) for name in ("specversion", "id", "source", "type", "subject", "data")),
        *((setting(**{name: ""}), name) for name in ("id", "source", "subject")),
        *((setting(**{name: 7}), name) for name in ("id", "source", "type", "subject", "data")),
        (setting(id=None), "id"),
        (setting(id="i\x00d"), "id"),
        (setting(id="\ud800"), "id"),
        (setting(id="i" * 256), "id"),
        (setting(subject="a\nb"), "subject"),
        (setting(type="order.cancelled"), "type differs from the first two words"),
        (setting(data=[]), "data"),
        *(
            (without("data", name), f"data.{name}")
            for name in ("order_number", "customer_name", "product_ids", "region", "created_at")
        ),
        (with_data(region="south"), "data.region differs from the third word"),
        (with_data(region="North"), "data.region"),
        (with_data(region="north\n"), "data.region"),
        (with_data(customer_name=""), "data.customer_name"),
        (with_data(customer_name=" \t "), "data.customer_name"),
        (with_data(customer_name="x" * 201), "data.customer_name"),
        (with_data(customer_name="a\x07b"), "data.customer_name"),
        (with_data(customer_name="\ud800"), "data.customer_name"),
        (with_data(customer_name=7), "data.customer_name"),
        (with_data(product_ids=[]), "data.product_ids"),
        (with_data(product_ids=[1] * 501), "data.product_ids"),
        *((with_data(product_ids=[n]), "data.product_ids.0") for n in (0, -1, 2**53, True, 1.0, "1", None)),
        (with_data(product_ids="12"), "data.product_ids"),
        (with_data(created_at="2026-11-24T07:19:46"), "data.created_at"),
        (with_data(created_at="2026-02-30T07:19:46Z"), "data.created_at"),
        (with_data(created_at="9999-12-31T23:59:59-23:59"), "data.created_at"),
        (with_data(created_at="0001-01-01T00:00:00+23:59"), "data.created_at"),
        (with_data(created_at=1764000000), "data.created_at"),
        (with_data(order_number=""), "data.order_number"),
        (with_data(order_number="A" * 36), "data.order_number"),
        (with_data(order_number="../../etc"), "data.order_number"),
    ],
)
def test_parked_with_a_reason_that_names_the_field(change: Change, reason: str) -> None:
    with pytest.raises(UndecodableError) as caught:
        decode(body(change), CONTENT_TYPE, KEY)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"\xef\xbb\xbf" + body(), "not JSON"),
        (body() + b" {}", "not JSON"),
        (body() + b"x", "not JSON"),
        (body(setting(extra=float("nan"))), "NaN is not JSON"),
        (body(setting(extra=float("-inf"))), "-Infinity is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"{'id': 1}", "not JSON"),
        (b'{"a": "\x01"}', "not JSON"),
        (b"null", "not one JSON object"),
        (b"[]", "not one JSON object"),
        (b'"text"', "not one JSON object"),
    ],
)
def test_what_is_not_one_strict_json_object_is_parked(raw: bytes, reason: str) -> None:
    with pytest.raises(UndecodableError, match=reason):
        decode(raw, CONTENT_TYPE, KEY)


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (a_result(department="printer"), "order.progressed.marketing"),
        (an_announcement(department="printer"), "department.joined.marketing"),
        (an_event(region="north"), "order.created.north.east"),
        (an_event(region="north"), "order.created"),
        (an_event(region="north"), "order.progressed.north"),
    ],
)
def test_event_under_a_foreign_routing_key_is_parked(event: Event[Any], key: str) -> None:
    with pytest.raises(UndecodableError, match="differs from"):
        decode(event.encode(), CONTENT_TYPE, key)


@pytest.mark.parametrize("pattern", ["", "order..created", "order created", "Ørder.*", "a" * 256])
def test_announcement_with_an_impossible_pattern_is_parked_without_repeating_it(pattern: str) -> None:
    raw = body(with_data(patterns=[pattern]), an_announcement(department="printer"))
    with pytest.raises(UndecodableError, match=r"data\.patterns") as caught:
        decode(raw, CONTENT_TYPE, "department.joined.printer")
    assert pattern == "" or pattern not in str(caught.value)


def test_type_that_the_contract_does_not_know_has_plain_data() -> None:
    raw = body(setting(type="order.cancelled", data={"why": "sold out"}))
    assert decode(raw, None, "order.cancelled.north").data == {"why": "sold out"}


def test_reason_never_repeats_a_customer_name() -> None:
    raw = body(with_data(customer_name="Aurelia Quist\x07"))
    with pytest.raises(UndecodableError) as caught:
        decode(raw, CONTENT_TYPE, KEY)
    assert "Quist" not in str(caught.value)


def test_name_keeps_every_character_that_is_not_around_it() -> None:
    name = "Ma\u0301ire  O\u2019Neill \u200dد محمد"
    assert decode(an_event(an_order(customer_name=name)).encode(), None, KEY).data.customer_name == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_undecodable(raw: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode(raw, None, KEY)


@given(
    st.sampled_from(["specversion", "id", "source", "type", "subject", "time", "sequence", "traceparent", "data"]), JSON
)
def test_any_attribute_is_accepted_or_undecodable(name: str, value: Any) -> None:
    attempt(body(setting(**{name: value})))


@given(st.sampled_from(["order_number", "customer_name", "product_ids", "region", "created_at"]), JSON)
def test_any_data_is_accepted_or_undecodable(name: str, value: Any) -> None:
    attempt(body(with_data(**{name: value})))


def attempt(raw: bytes) -> None:
    reason = ""
    try:
        event = decode(raw, CONTENT_TYPE, KEY)
    except UndecodableError as error:
        reason = str(error)
    else:
        assert decode(event.encode(), CONTENT_TYPE, KEY) == event
    assert len(reason.splitlines()) <= 1
