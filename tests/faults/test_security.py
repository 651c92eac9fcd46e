"""A customer's name goes where it must and nowhere else, whatever fails; what it says does nothing."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until

from .echoing_sap import EchoingSap
from .parts import Parts
from .program import Program
from .shop import Shop

PARTS = Parts(gateways=1, settings={"gateway": {"access_log": True}})
DEADLINE_S = 90.0
MEMBERS = ("sap_bridge", "marketing", "printer")
EVIL_NAMES = [
    "Robert'); DROP TABLE orders;--",
    "../../../../etc/passwd",
    '#read("/etc/passwd") #{panic()} $x$ *bold* @ref <label>',
    "{{7*7}} ${7*7} {% raw %} <%= 7*7 %>",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "=cmd|'/C calc'!A0",
    '@SUM(1+1)","="1',
    "' or SoldToParty ne '",
    "line\u2028separator\u2029\u202eright to left",
    "%n%s%x %(asctime)s {event} \\x1b[31m \\u0000",
    "null", "\ufeff", "\u200d", "🎉\u0301" * 40,
]  # fmt: skip


@pytest.fixture
def canary() -> str:
    """A name that is in no text but where somebody wrote it."""
    return f"Zkq{secrets.token_hex(6)} Wvx{secrets.token_hex(6)}"


@pytest.fixture
def sap() -> Iterator[EchoingSap]:
    sap = EchoingSap()
    yield sap
    sap.close()


def place(shop: Shop, name: str, **more: Any) -> str:
    order = {"customer_name": name, "product_ids": [2, 4, 42], "region": "north", **more}
    answer = requests.post(f"{shop.one('gateway').url}/orders", json=order, timeout=30)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order_number"])


def read(shop: Shop, number: str) -> dict[str, Any]:
    return dict(requests.get(f"{shop.one('gateway').url}/orders/{number}", timeout=30).json())


def wait_states(shop: Shop, number: str, **wanted: str) -> dict[str, Any]:
    def states() -> dict[str, str]:
        return {name: each["state"] for name, each in read(shop, number)["departments"].items()}

    wait_until(lambda: wanted.items() <= states().items(), DEADLINE_S, f"{number} is {wanted}")
    return read(shop, number)


def configured(program: Program, section: str | None, **changes: Any) -> None:
    """Start it anew with other settings."""
    document = yaml.safe_load(program.config_file.read_text())
    (document[section] if section else document).update(changes)
    program.config_file.write_text(yaml.safe_dump(document))
    program.restart().wait_ready()


def occurrences(shop: Shop, words: list[str]) -> list[str]:
    """Every place but the allowed ones in which one of the words stands: `place: line`."""
    found: list[str] = []

    def search(place: str, text: str) -> None:
        found.extend(
            f"{place}: {line[:300]}" for line in text.splitlines() if any(w.lower() in line.lower() for w in words)
        )

    for program in shop.programs.values():
        search(f"log of {program.name}", program.output())
        for path in ("/metrics", "/readyz", "/healthz"):
            search(f"{program.name}{path}", program.get(path)[1])
    for file in shop.folder.rglob("*"):
        search("name of a file", str(file.relative_to(shop.folder)))
        if file.is_file() and file.suffix == ".log":
            search(str(file.relative_to(shop.folder)), file.read_text(errors="replace"))
    for log in shop.node.log_path.parent.glob("*"):
        search(f"RabbitMQ's {log.name}", log.read_text(errors="replace"))
    if shop.server is not None:
        search("PostgreSQL's log", shop.server.log())
    management = shop.broker.management
    listed = [management.queues(), management.connections(), management.exchanges(), management.bindings()]
    search("the management API", json.dumps(listed, indent=1))
    if shop.paper is not None:
        search("names of print jobs", "\n".join(shop.paper.papers()))
    return found


def messages_of(shop: Shop, taps: list[str]) -> Iterator[tuple[str, Any]]:
    """All that the taps got, and what is parked."""
    for tap in taps:
        yield from ((tap, message) for message in shop.broker.take_all(tap))
    for name in (*MEMBERS, "orders"):
        yield from ((f"{name}.dead", message) for message in shop.broker.peek(f"{name}.dead"))


def test_canary_name_is_where_it_may_be_and_nowhere_else(shop: Shop, seed: int, canary: str, sap: EchoingSap) -> None:
    """A name unique in the run, through successes, refusals that quote it, retries, aborted jobs and parked messages"""
    shop.wait_ready()
    assert shop.paper is not None
    words = canary.split()
    taps = [shop.broker.tap("#"), shop.broker.tap("#", exchange="dead"), shop.broker.tap("#", exchange="retry.1s")]
    done = place(shop, canary)
    wait_states(shop, done, sap_bridge="done", marketing="done", printer="done")
    shop.paper.abort_next()  # as often as it is tried
    shop.paper.abort_next()
    bridge = shop.one("sap_bridge")
    url = yaml.safe_load(bridge.config_file.read_text())["sap"]["url"]
    configured(bridge, "sap", url=sap.url)
    refused = place(shop, f"{canary} \u202ex")
    answer = wait_states(shop, refused, sap_bridge="attention")
    assert sap.refused
    assert "[name]" in answer["departments"]["sap_bridge"]["detail"]
    configured(bridge, "sap", url="http://127.0.0.1:9/sap")  # nobody is there: it waits
    wait_states(shop, place(shop, canary), sap_bridge="waiting")
    strangers(shop, canary)
    configured(bridge, "sap", url=url)
    wait_until(lambda: len(shop.broker.peek("marketing.dead")) >= 4, DEADLINE_S, "strangers' messages are parked")
    events = 0
    for queue, message in messages_of(shop, taps):
        events += words[0].encode() in message.body
        about = repr((message.properties.headers, str(message.properties), message.routing_key))
        assert not any(word.lower() in about.lower() for word in words), (queue, about)
        if message.routing_key.startswith(("order.progressed", "department.")):
            assert not any(word.encode().lower() in message.body.lower() for word in words), message.body
    assert events >= 3, "the search has seen the events, which may hold the name"
    assert occurrences(shop, words) == []


def strangers(shop: Shop, name: str) -> None:
    """Messages that hold the name and cannot be read."""
    event = json.loads(an_event(customer_name=name).encode())
    bodies = [
        json.dumps(event)[:-1],
        json.dumps(event | {"data": {**event["data"], "region": name}}),
        json.dumps(event | {"data": {**event["data"], "product_ids": [name]}}),
        json.dumps(event | {"data": {**event["data"], "customer_name": f"{name}\x07"}}),
        json.dumps(event | {"type": name}),
    ]
    for body in bodies:
        shop.broker.publish_body(body.encode(), "order.created.north")


def test_names_that_mean_something_elsewhere_are_names(shop: Shop, seed: int) -> None:
    """Names with signs of SQL, paths, templates, markup, formulas, terminals: kept as they are, done everywhere"""
    shop.wait_ready()
    shop.one("sap_bridge").wait_ready()
    before = {str(file) for file in shop.folder.iterdir()}
    placed = {place(shop, name): name.strip() for name in EVIL_NAMES}
    for number, name in placed.items():
        order = wait_states(shop, number, sap_bridge="done", marketing="done", printer="done")
        assert order["customer_name"] == name
        assert shop.sap.orders(number)["total"] == 1
        assert shop.paper is not None
        assert shop.paper.paper(number).read_bytes().startswith(b"%PDF")
    assert {str(file) for file in shop.folder.iterdir()} == before
    texts = [requests.get(f"{shop.one('marketing').url}{path}", timeout=30).text for path in ("/", "/stats?format=csv")]
    for name in EVIL_NAMES:
        assert not name.strip() or len(name) < 5 or not any(name in text for text in texts)
    for program in shop.programs.values():
        for line in program.output().splitlines():
            assert line.isprintable(), (program.name, line)


@pytest.mark.runs_shared_by(11)
@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("customer_name", "Daniel\r\nSet-Cookie: x=1", 422),
        ("customer_name", "\x1b[2J", 422),
        ("customer_name", "a\x00b", 422),
        ("customer_name", "\x9b31m", 422),
        ("region", "north'; DROP TABLE orders;--", 422),
        ("region", "../north", 422),
        ("region", "north\r\n", 422),
        ("region", "#", 422),
        ("product_ids", ["1; DROP TABLE orders"], 422),
        ("key", "a'; DROP TABLE orders;--", 400),
        ("key", "$(reboot)`id`';--", 201),
    ],
)
def test_what_could_steer_something_else_is_refused(shop: Shop, seed: int, field: str, value: Any, status: int) -> None:
    """Control characters and everything but a slug are refused before they are stored; keys are only compared"""
    shop.wait_ready()
    order = {"customer_name": "Daniel", "product_ids": [2], "region": "north"}
    headers = {"Idempotency-Key": f"{value}{secrets.token_hex(4)}"} if field == "key" else {}
    if field != "key":
        order[field] = value
    answer = requests.post(f"{shop.one('gateway').url}/orders", json=order, headers=headers, timeout=30)
    assert answer.status_code == status, answer.text
    assert "Set-Cookie" not in answer.headers
    assert answer.text.isprintable()
