"""Functions that strangers' input reaches first: whatever it is, they answer as they say they do."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from eventbus.contract import (
    BusHeaders,
    DepartmentJoined,
    DepartmentLeft,
    Event,
    OrderCreated,
    OrderProgressed,
    UndecodableError,
    decode,
    routing_key_of,
)
from eventbus.contract.envelope import DATA_MODELS
from eventbus.contract.headers import republished
from eventbus.department.outcomes import Blocked, Done, InHand, Later, Permanent, Transient
from eventbus.department.recovery import (
    CrashedVerdict,
    Decision,
    HandlerTimeoutError,
    Park,
    Policy,
    Retry,
    Situation,
    UndecodableVerdict,
    decide,
)
from eventbus.settings import SettingsError, config_path, load
from eventbus.testing.builders import a_result, an_announcement, an_event
from eventbus.topology import TIER_NAMES
from hypothesis import strategies as st
from marketing.collector.settings import CollectorSettings
from marketing.settings import MarketingSettings
from orders.model import CROCKFORD, format_number, parse_number
from orders.relay.settings import RelaySettings
from orders.settings import GatewaySettings
from orders.tracker import TrackerSettings
from printer.settings import PrinterSettings
from sap_bridge.settings import SapBridgeSettings
from sap_sandbox.settings import SandboxSettings

from .exploring import explore

SCENARIO = 13
EXAMPLES = 100
ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=40)
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)

# --- the codec

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
VISIBLE = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)
NUMBERS = st.from_regex(r"\A[A-Za-z0-9-]{1,35}\Z")
REGIONS, DEPARTMENTS = st.from_regex(r"\A[a-z0-9-]{1,32}\Z"), st.from_regex(r"\A[a-z][a-z0-9_]{0,31}\Z")
STATES = st.sampled_from(["waiting", "attention", "done"])
PATTERNS = st.lists(st.from_regex(r"\A(\*|#|[A-Za-z0-9_-]{1,8})(\.(\*|#|[a-z]{1,8})){0,3}\Z"), min_size=1, max_size=4)
DATA: Any = (
    st.builds(
        OrderCreated, order_number=NUMBERS, customer_name=VISIBLE.filter(str.strip), region=REGIONS, created_at=MOMENTS,
        product_ids=st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=9),
    )
    | st.builds(
        OrderProgressed, order_number=NUMBERS, department=DEPARTMENTS, state=STATES,
        cause_id=st.none() | VISIBLE, cause_type=VISIBLE, reference=st.none() | VISIBLE, detail=st.none() | VISIBLE,
        attempt=st.none() | st.integers(0, 10**6),
    )
    | st.builds(
        DepartmentJoined, department=DEPARTMENTS, patterns=PATTERNS, version=VISIBLE,
        remembers_since=st.none() | MOMENTS,
    )
    | st.builds(DepartmentLeft, department=DEPARTMENTS, patterns=PATTERNS, version=st.none() | VISIBLE)
)  # fmt: skip
EVENTS: list[Event[Any]] = [an_event(), a_result(detail="paper"), an_announcement()]


def changed_somewhere(document: Any, value: Any, turn: random.Random) -> Any:
    """The document with that value in place of one of its parts, at any depth."""
    if not isinstance(document, dict | list) or not document or turn.random() < 0.2:
        return value
    if isinstance(document, dict):
        key = turn.choice(sorted(document))
        return document | {key: changed_somewhere(document[key], value, turn)}
    index = turn.randrange(len(document))
    return [*document[:index], changed_somewhere(document[index], value, turn), *document[index + 1 :]]


def decoded(raw: bytes, content_type: str | None = None, key: str | None = None) -> Event[Any] | None:
    """The event, or None for what is undecodable, of which nothing but one printable line is said."""
    try:
        return decode(raw, content_type, key)
    except UndecodableError as error:
        reason = str(error)
    assert reason.isprintable(), reason
    return None


def test_codec_takes_any_bytes(seed: int) -> None:
    """Any body of a message is an event or undecodable, with a reason of one line that repeats nothing of it"""

    def any_change(event: Event[Any], value: Any, turn: int, key: str | None, content_type: str | None) -> None:
        document = changed_somewhere(json.loads(event.encode()), value, random.Random(turn))
        found = decoded(json.dumps(document).encode(), content_type, key)
        assert found is None or decode(found.encode(), None, None).id == found.id

    def any_bytes(event: Event[Any], cut: int, noise: bytes) -> None:
        body = event.encode()
        for raw in (body[:cut] + noise + body[cut:], body[:cut] + noise + body[cut + len(noise) :], noise):
            decoded(raw)

    events = st.sampled_from(EVENTS)
    keys = st.none() | ANY_TEXT | st.sampled_from([routing_key_of(event) for event in EVENTS])
    types = st.none() | ANY_TEXT | st.sampled_from(["application/json", "application/cloudevents+json; charset=utf-8"])
    explore(
        seed, EXAMPLES, any_change, event=events, value=JSON, turn=st.integers(0, 10**6), key=keys, content_type=types
    )
    explore(seed, EXAMPLES, any_bytes, event=events, cut=st.integers(0, 500), noise=st.binary(max_size=6))


def test_codec_gives_back_what_it_was_given(seed: int) -> None:
    """Every event of the contract that can be made decodes to itself, under its own routing key"""

    def round_trip(data: Any, time: datetime, subject: str) -> None:
        kind = next(name for name, model in DATA_MODELS.items() if type(data) is model)
        event = Event(id="1", source="/x", type=kind, subject=subject, data=data, time=time)
        found = decode(event.encode(), "application/json", routing_key_of(event))
        assert found.encode() == event.encode()
        assert found.data == data

    explore(seed, EXAMPLES, round_trip, data=DATA, time=MOMENTS, subject=VISIBLE)


def test_headers_of_anybody(seed: int) -> None:
    """Any headers are read, and can be written again"""

    def read(headers: dict[str, Any]) -> None:
        known = BusHeaders.read(headers)
        written = republished(headers, known)
        assert BusHeaders.read(written) == BusHeaders.read(known.write())
        for name, value in known.write().items():
            assert not isinstance(value, str) or value.encode("utf-8", "strict").decode() == value, name

    names = st.sampled_from(sorted(BusHeaders(attempt=1, reason="x", replay=True).write())) | ANY_TEXT
    explore(seed, EXAMPLES, read, headers=st.dictionaries(names, JSON | st.binary() | st.datetimes(), max_size=5))


# --- settings

PROCESSES: list[tuple[str, Any]] = [
    ("orders", GatewaySettings),
    ("orders", RelaySettings),
    ("orders", TrackerSettings),
    ("marketing", MarketingSettings),
    ("marketing.collector", CollectorSettings),
    ("printer", PrinterSettings),
    ("sap_bridge", SapBridgeSettings),
    ("sap_sandbox", SandboxSettings),
]
SUBSTITUTIONS = st.sampled_from(
    ["${", "${}", "${A:${B}", "${A}", "${DATABASE_URL:${AMQP_URL}}", "}${A:x}", "${A:" * 2000]
)
YAML_TAGS = st.sampled_from(
    ["!!timestamp x", "!!bool x", '!!int ""', "!!float x", "!!binary é", "&a [*a]", "[" * 1000,
     "!!python/object:os.x {}",
     "1710-10-00", "9" * 5000, "0x_", "{? [a] : b}", "*a", "a: b: c", "\x00", "<<: 1", "!!set {a, b}", "!!pairs [a: b]"]
)  # fmt: skip


def test_settings_of_anybody(seed: int, tmp_path: Path) -> None:
    """Any configuration file and environment is settings, or one line that names the file and shows no secret"""
    file = tmp_path / "config.yaml"

    def loaded(text: bytes, model: Any, environ: Mapping[str, str]) -> None:
        file.write_bytes(text)
        try:
            load(model, file, environ)
        except SettingsError as error:
            line = str(error)
        else:
            return
        assert line.startswith(str(file))
        assert "expected" in line
        assert "s3cr3t" not in line

    def changed_file(process: tuple[str, Any], value: Any, turn: int, environ: dict[str, str]) -> None:
        package, model = process
        document = yaml.safe_load(config_path(package, {}).read_text())
        document = changed_somewhere(document, value, random.Random(turn))
        loaded(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"), model, environ)

    def any_file(process: tuple[str, Any], raw: bytes) -> None:
        loaded(raw, process[1], {})

    processes = st.sampled_from(PROCESSES)
    values = (
        JSON | SUBSTITUTIONS | st.sampled_from(["postgresql://u:s3cr3t@h:x/d", "amqp://u:s3cr3t@", "http://u:s3cr3t@["])
    )
    variables = ["DATABASE_URL", "AMQP_URL", "SAP_URL", "SAP_PASSWORD", "PRINTER_URI", "TIMEZONE", "TIER_SECONDS",
                 "HEALTH_PORT", "GATEWAY_PORT", "DRAIN_S", "SAP_SETTLE_S", "A", "B", "A_FILE"]  # fmt: skip
    environs = st.dictionaries(
        st.sampled_from(variables), ANY_TEXT | st.sampled_from(["amqp://u:s3cr3t@h:1:2/x"]), max_size=4
    )
    explore(seed, EXAMPLES, changed_file, process=processes, value=values, turn=st.integers(0, 10**6), environ=environs)
    raw = st.binary(max_size=80) | YAML_TAGS.map(str.encode) | YAML_TAGS.map(lambda tag: f"port: {tag}".encode())
    explore(seed, EXAMPLES, any_file, process=processes, raw=raw)


# --- order numbers


def test_order_numbers_of_anybody(seed: int) -> None:
    """A number is found however a person writes it, and nothing else is a number"""

    def forgiven(number: str, turn: int) -> None:
        rng = random.Random(turn)
        spellings = {"0": "0Oo", "1": "1IiLl"}
        written = "".join(rng.choice(spellings.get(c, c + c.lower())) for c in number)
        for _ in range(rng.randint(0, 20)):
            at = rng.randint(0, len(written))
            written = written[:at] + "-" + written[at:]
        assert parse_number(written) == number
        assert parse_number(format_number(number)) == number

    def anything(text: str) -> None:
        number = parse_number(text)
        assert number is None or (len(number) == 12 and set(number) <= set(CROCKFORD))
        assert number is None or parse_number(number) == number

    explore(seed, EXAMPLES, forgiven, number=st.text(CROCKFORD, min_size=12, max_size=12), turn=st.integers(0, 10**6))
    almost = st.text(CROCKFORD + "-ILOUilou \n٧", max_size=36)
    explore(seed, EXAMPLES, anything, text=almost | ANY_TEXT)


# --- the fate of a delivery

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
POLICY = Policy()
SECONDS = st.none() | st.floats() | st.integers(-(10**6), 10**9) | st.booleans() | ANY_TEXT
OUTCOMES: Any = (
    st.builds(Transient, ANY_TEXT, SECONDS)
    | st.builds(Blocked, ANY_TEXT)
    | st.builds(Permanent, ANY_TEXT)
    | st.builds(Later, st.floats(0, 10**9), ANY_TEXT)
    | st.builds(Done, ANY_TEXT, ANY_TEXT)
    | st.just(InHand())
    | st.sampled_from([UndecodableVerdict, CrashedVerdict, HandlerTimeoutError, ValueError, KeyError]).flatmap(
        lambda kind: st.builds(kind, ANY_TEXT)
    )
    | JSON
)
SITUATIONS = st.builds(
    lambda attempt, age_s, closed, paused, luck, failed: Situation(
        history=BusHeaders(attempt=attempt, first_failed_at=NOW - timedelta(seconds=age_s) if failed else None),
        routing_key="order.created.north",
        now=NOW,
        breaker_closed=closed,
        paused_by_permanents=paused and not closed,
        luck=luck,
    ),
    st.integers(0, 10**6), st.floats(0, 10**6), st.booleans(), st.booleans(), st.floats(0, 1), st.booleans(),
)  # fmt: skip


def test_every_delivery_has_one_fate(seed: int) -> None:
    """Whatever a handler does: one fate, no attempt forgotten, nothing parked without a reason that can be written"""

    def fate(outcome: Any, situation: Situation) -> None:
        decision = decide(outcome, situation, POLICY)
        assert decision == decide(outcome, situation, POLICY)
        if not isinstance(decision.action, Retry | Park):
            return
        headers = decision.action.headers
        assert headers.attempt - situation.history.attempt in (0, 1)
        assert headers.routing_key == situation.routing_key
        assert BusHeaders.read(headers.write()).attempt in (headers.attempt, 0)
        if isinstance(decision.action, Retry):
            assert decision.action.tier in TIER_NAMES
            wait_s = (headers.not_before - NOW).total_seconds() if headers.not_before else 0
            assert 0 <= wait_s <= POLICY.retry_for_s
        else:
            assert headers.reason_class is not None
            assert headers.parked_at == NOW
            assert "bus-reason" in headers.write()
            assert situation.breaker_closed or headers.reason_class != "exhausted" or is_bug(outcome)

    def patience(outcome: Any, situation: Situation, longer_s: float, more: int) -> None:
        """Who waited longer, or failed more often, is never treated as if he had just come."""
        older = replace(situation.history, attempt=situation.history.attempt + more)
        if older.first_failed_at is not None:
            older = replace(older, first_failed_at=older.first_failed_at - timedelta(seconds=longer_s))
        first, then = (decide(outcome, replace(situation, history=each), POLICY) for each in (situation.history, older))
        assert rank(then) >= rank(first)

    explore(seed, EXAMPLES, fate, outcome=OUTCOMES, situation=SITUATIONS)
    explore(
        seed, EXAMPLES, patience,
        outcome=OUTCOMES, situation=SITUATIONS, longer_s=st.floats(0, 10**6), more=st.integers(0, 40),
    )  # fmt: skip


def is_bug(outcome: Any) -> bool:
    verdicts = (Transient, Blocked, Permanent, HandlerTimeoutError, UndecodableVerdict, CrashedVerdict)
    return not isinstance(outcome, verdicts) or isinstance(getattr(outcome, "retry_after", None), str)


def rank(decision: Decision) -> int:
    """How late in its life a delivery is treated: by the tier, then parked."""
    match decision.action:
        case Retry(tier=tier):
            return TIER_NAMES.index(tier)
        case Park():
            return len(TIER_NAMES)
    return 0
