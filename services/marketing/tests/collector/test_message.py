"""What the receiver gets of an order."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eventbus.testing.builders import an_event
from marketing.collector.message import Writer
from marketing.collector.receiver import Receiver
from marketing.customers import pseudonym

KEY = "k" * 32
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()


def test_order_arrives_as_the_event_of_the_bus_without_the_customers_name(
    receiver: Any, client: Callable[..., Receiver]
) -> None:
    event = an_event(customer_name="Daníel", product_ids=(2, 4, 42), region="north")
    client(receiver.url, customer_key=KEY).post(event)

    (request,) = receiver.requests
    sent, on_the_bus = request.json, json.loads(event.encode())
    customer = sent["data"].pop("customer")
    assert int.from_bytes(bytes.fromhex(customer), "big", signed=True) == pseudonym("daníel", KEY.encode())
    assert on_the_bus["data"].pop("customer_name") == "Daníel"
    assert sent == on_the_bus
    assert request.path == "/orders?shop=1"
    assert request.headers["idempotency-key"] == sent["id"] == event.id
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert "authorization" not in request.headers
    assert "webhook-signature" not in request.headers


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"customer": "name", "customer_key": KEY}, {"customer_name": "Daníel"}),
        ({"customer": "none", "customer_key": KEY}, {}),
        ({"customer": "pseudonym"}, {}),  # no key: nobody could tell what an unkeyed hash hides
    ],
)
def test_settings_say_what_is_sent_of_the_customer(
    receiver: Any, client: Callable[..., Receiver], settings: dict[str, str], expected: dict[str, str]
) -> None:
    client(receiver.url, **settings).post(an_event(customer_name="Daníel"))

    data = receiver.requests[0].json["data"]
    assert {name: value for name, value in data.items() if name.startswith("customer")} == expected


def test_repeat_is_the_same_request_so_that_the_receiver_knows_it(
    receiver: Any, client: Callable[..., Receiver]
) -> None:
    event = an_event()
    for _ in range(2):
        client(receiver.url, customer_key=KEY, token="secret").post(event)

    first, second = receiver.requests
    assert (first.body, first.headers) == (second.body, second.headers)


def test_token_and_content_type_are_sent_as_set(receiver: Any, client: Callable[..., Receiver]) -> None:
    client(receiver.url, token="s3cret", content_type="application/json").post(an_event())

    headers = receiver.requests[0].headers
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["content-type"] == "application/json"


def test_signature_is_that_of_standard_webhooks(receiver: Any, client: Callable[..., Receiver]) -> None:
    """As https://www.standardwebhooks.com has it: HMAC-SHA256 of `id.timestamp.body`, base64, after `v1,`."""
    client(receiver.url, signing_secret=SECRET).post(an_event())

    (request,) = receiver.requests
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.digest(b"s" * 24, signed, hashlib.sha256)).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert request.headers["webhook-id"] == request.json["id"]


def test_id_that_does_not_fit_a_header_is_escaped_there_and_whole_in_the_body() -> None:
    event = replace(an_event(), id="Auftrag 1\r\nX: ü%")
    writer = Writer("none")

    body = writer.body(event)
    assert json.loads(body)["id"] == event.id
    assert writer.headers(event, body, 0)["Idempotency-Key"] == "Auftrag%201%0D%0AX:%20%C3%BC%25"


def test_connection_is_used_again(receiver: Any, client: Callable[..., Receiver]) -> None:
    dependency = client(receiver.url)
    for _ in range(3):
        dependency.post(an_event())

    assert len({request.connection for request in receiver.requests}) == 1
