"""Messages that no department can handle, published as a stranger would, amid orders that it can."""

import json
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from eventbus.contract import BusHeaders, Event, OrderCreated
from eventbus.testing.broker import Broker, Message
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .crash import CrashPoint
from .customers import Customers
from .parts import ALL_DEPARTMENTS, Parts
from .program import KILLED
from .shop import Shop

SCENARIO = 9
PARTS = Parts(gateways=1, workers={"sap_bridge": 2, "marketing": 2, "printer": 2}, paper="folder")

RATE = 8
RATE_BESIDE_KILLER = 6
DEADLINE_S = 120
CRASHES = range(5, 8)
"""Five, and two more where both workers had it in hand before they were ready to be asked."""
CANARY = "Zephyrine Quillfeather"
"""The customer's name in what is parked: no reason may hold it."""


@dataclass(frozen=True)
class Poison:
    """A message that cannot be decoded.

    Args:
        fields: over those of a good event.
        data: over those of its data.
        body: in place of the event.
        properties: AMQP properties.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str | None = "application/cloudevents+json"
    routing_key: str = "order.created.north"
    properties: Mapping[str, Any] = field(default_factory=dict)

    def event(self, number: str, product: int) -> dict[str, Any]:
        good = an_event(order_number=number, customer_name=CANARY, product_ids=[product])
        event: dict[str, Any] = json.loads(good.encode())
        return event | dict(self.fields) | {"data": event["data"] | dict(self.data)}

    def encoded(self, number: str, product: int) -> bytes:
        return self.body if self.body is not None else json.dumps(self.event(number, product)).encode()


UNDECODABLE = {
    "not JSON": Poison(body=b'{"specversion": "1.0", "customer_name": "Zephyrine Quillfeather"'),
    "not UTF-8": Poison(body=b"\xff\xfe\x00"),
    "an empty body": Poison(body=b""),
    "a list": Poison(body=b"[]"),
    "not a number of JSON": Poison(body=b'{"data": NaN}'),
    "nested deeply": Poison(body=b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "specversion 2.0": Poison(fields={"specversion": "2.0"}),
    "no id": Poison(fields={"id": None}),
    "5 MB": Poison(fields={"filling": "x" * 5_000_000}),
    "text/plain": Poison(content_type="text/plain"),
    "another type than its key": Poison(fields={"type": "order.cancelled"}),
    "another region than its key": Poison(routing_key="order.created.south"),
    "no products": Poison(data={"product_ids": []}),
    "too many products": Poison(data={"product_ids": [1] * 501}),
    "a product of 2**53": Poison(data={"product_ids": [2**53]}),
    "a product that is a text": Poison(data={"product_ids": ["4"]}),
    "a name of 201 characters": Poison(data={"customer_name": CANARY.ljust(201, "x")}),
    "a name with a control character": Poison(data={"customer_name": f"{CANARY[:5]}\x07{CANARY[5:]}"}),
    "an order number for a file": Poison(data={"order_number": "../../etc/passwd"}),
    "which will expire": Poison(fields={"specversion": "2.0"}, properties={"expiration": "3600000"}),
    "of a user": Poison(fields={"specversion": "2.0"}, properties={"user_id": "(the publisher's)"}),
    "with the headers of a parked one": Poison(
        fields={"specversion": "2.0"},
        properties={
            "headers": {
                "bus-attempt": 77,
                "bus-reason": CANARY,
                "bus-reason-class": "permanent",
                "bus-first-failed-at": "2001-01-01T00:00:00Z",
                "bus-parked-at": "2001-01-01T00:00:00Z",
                "bus-routing-key": "order.progressed.printer",
            }
        },
    ),
    "with headers that leave no room": Poison(
        fields={"specversion": "2.0"}, properties={"headers": {"stranger": "x" * 100_000}}
    ),
}
FORGED: dict[str, dict[str, Any]] = {
    "bus-attempt that is a text": {"bus-attempt": "many"},
    "bus-attempt before the last": {"bus-attempt": 4, "bus-first-failed-at": "2001-01-01T00:00:00Z"},
    "bus-attempt beyond all": {"bus-attempt": 2**60},
    "bus-routing-key": {"bus-routing-key": "order.progressed.printer"},
    "bus-routing-key that is a number": {"bus-routing-key": 7},
    "bus-not-before": {"bus-not-before": "2999-01-01T00:00:00Z"},
    "bus-not-before that is no time": {"bus-not-before": [True]},
    "bus-replay": {"bus-replay": "yes"},
    "x-death": {
        "x-death": [
            {
                "queue": "printer",
                "reason": "rejected",
                "count": 99,
                "exchange": "departments",
                "routing-keys": ["printer"],
            }
        ]
    },
    "x-death that is none": {"x-death": "yesterday"},
    "x-delivery-count": {"x-delivery-count": 99},
    "CC": {"CC": ["order.created.south", "order.created.north"]},
}
"""Headers of good events: each is handled, once."""


def poison_queues(shop: Shop) -> list[str]:
    return [f"{department}.dead" for department in (*shop.parts.departments, "orders")]


def a_number() -> str:
    """The number of an order that nobody has placed."""
    digits = secrets.token_hex(6).upper()
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def take_parked(broker: Broker, queue: str) -> dict[str, Message]:
    """What was parked there, by message id; the queue is empty afterwards."""
    taken = broker.take_all(queue)
    parked = {str(message.properties.message_id): message for message in taken}
    assert len(parked) == len(taken), Counter(message.properties.message_id for message in taken)
    return parked


def effects(shop: Shop, numbers: list[str]) -> dict[str, Counter[str]]:
    found = {"sap_bridge": Counter(shop.sap.stats()["references"]), "printer": Counter(shop.papers())}
    return {name: Counter({number: counts[number] for number in numbers}) for name, counts in found.items()}


def assert_parked_whole(message: Message, body: bytes, poison: Poison) -> None:
    """A person finds with it everything that is needed to judge it, and to send it again."""
    headers = BusHeaders.read(message.headers)
    assert message.body == body
    assert message.properties.content_type == poison.content_type
    assert message.properties.delivery_mode == 2
    assert message.properties.user_id is None
    assert message.properties.expiration is None
    assert headers.reason_class == "undecodable"
    assert headers.reason
    assert CANARY not in headers.reason
    assert headers.attempt == 0, "it was not tried"
    assert headers.routing_key == poison.routing_key
    assert headers.first_failed_at is not None
    assert headers.parked_at is not None
    assert headers.parked_at.year > 2001
    assert headers.first_failed_at.year > 2001


def test_poison_amid_orders(run: Run) -> None:
    """Undecodable messages and forged headers on `events` amid orders"""
    shop, broker = run.shop, run.shop.broker
    product = secrets.randbelow(10**12) + 10**6
    for queue in poison_queues(shop):
        assert not broker.take_all(queue)
    poison = {a_number(): each for each in UNDECODABLE.values()}
    bodies = {key: each.encoded(key, product) for key, each in poison.items()}
    forged = {a_number(): headers for headers in FORGED.values()}

    def publish(key: str) -> None:
        if key in forged:
            event: Event[OrderCreated] = an_event(order_number=key, product_ids=(product,))
            broker.publish(event, "order.created.north", headers=forged[key])
            return
        bad = poison[key]
        rest = dict(bad.properties)
        if "user_id" in rest:
            rest["user_id"] = broker.login[0]
        broker.publish_body(bodies[key], bad.routing_key, content_type=bad.content_type, message_id=key, **rest)

    strangers = [*poison, *forged]
    run.rng.shuffle(strangers)
    with run.customers.placing(RATE):
        for key in strangers:
            publish(key)
        placed = len(run.customers.accepted)
        wait_until(lambda: len(run.customers.accepted) >= placed + 20, DEADLINE_S, "orders go on")
    run.assert_kept()

    for name in shop.parts.departments:
        parked = take_parked(broker, f"{name}.dead")
        assert parked.keys() == poison.keys(), name
        for key, message in parked.items():
            assert_parked_whole(message, bodies[key], poison[key])
    assert not broker.take_all("orders.dead")
    for name, counts in effects(shop, list(forged)).items():
        assert counts == Counter(forged.keys()), name
    wait_until(lambda: marketing_count(shop, product) == len(forged), 10, "marketing counted each once")


def marketing_count(shop: Shop, product: int) -> int:
    """How many orders with that product, on the day on which all that strangers place are."""
    period = {"from": "2026-11-23", "to": "2026-11-25", "group_by": "product"}
    groups = requests.get(f"{shop.one('marketing').url}/stats", params=period, timeout=30).json()["groups"]
    return next((int(group["orders"]) for group in groups if group["product"] == product), 0)


@pytest.mark.parametrize(
    "body", [pytest.param(b"{", id="not JSON"), pytest.param(b'{"specversion": "2.0"}', id="wrong version")]
)
@pytest.mark.runs_shared_by(2)
def test_poisonous_reports(run: Run, body: bytes) -> None:
    """Undecodable reports and announcements on `events` amid orders"""
    broker = run.shop.broker
    keys = ["order.progressed.printer", "department.joined.printer", "department.left.printer"]
    with run.customers.placing(RATE):
        for key in keys:
            broker.publish_body(body, key, message_id=key)
        wait_until(lambda: len(run.customers.accepted) >= 20, DEADLINE_S, "orders go on")
    run.assert_kept()
    parked = take_parked(broker, "orders.dead")
    assert parked.keys() == set(keys)
    for key, message in parked.items():
        assert_parked_whole(message, body, Poison(routing_key=key))


KILLERS = {
    "sap_bridge": "sap_bridge.booking:Booking.book",
    "marketing": "marketing.service:Counters.count",
    "printer": "printer.folder_printer:FolderPrinter.print_once",
}


def test_event_that_kills_workers(run: Run) -> None:
    """An order of which the worker processes of every department die, amid others"""
    shop, broker, customers = run.shop, run.shop.broker, run.customers
    victim = Customers(shop.ready_gateways, f"poison-{secrets.token_hex(6)}", product=secrets.randbelow(10**12) + 10**6)
    key = f"{victim.token}-0"
    deaths = {name: deaths_of(shop, name) for name in KILLERS}
    for queue in poison_queues(shop):
        assert not broker.take_all(queue)
    try:
        for name, at in KILLERS.items():
            for worker in shop.all(name):
                worker.restart(CrashPoint(at, argument=f"Run {key}"), again=True)
        shop.wait_ready()
        with customers.placing(RATE_BESIDE_KILLER):
            wait_until(lambda: len(customers.accepted) >= 10, DEADLINE_S, "orders under way")
            number = victim.place_one(key)
            wait_until(lambda: is_given_up(shop, number), 3 * DEADLINE_S, "given up by all departments")
        run.assert_kept()
    finally:
        for name in KILLERS:
            for worker in shop.all(name):
                worker.restart()
    for name in KILLERS:
        parked = take_parked(broker, f"{name}.dead")
        (message,) = parked.values()
        headers = BusHeaders.read(message.headers)
        assert json.loads(message.body)["subject"] == number
        assert headers.reason_class == "crashed"
        assert headers.routing_key == "order.created.north"
        assert headers.parked_at is not None
        assert deaths_of(shop, name) - deaths[name] in CRASHES, name
    assert not any(effects(shop, [number])[name][number] for name in ("sap_bridge", "printer"))


def deaths_of(shop: Shop, name: str) -> int:
    return sum(worker.exit_codes.count(KILLED) for worker in shop.all(name))


def is_given_up(shop: Shop, number: str) -> bool:
    answer = requests.get(f"{shop.one('gateway').url}/orders/{number}", timeout=10).json()
    departments = answer.get("departments", {})
    return all(departments.get(name, {}).get("state") == "attention" for name in ALL_DEPARTMENTS)
