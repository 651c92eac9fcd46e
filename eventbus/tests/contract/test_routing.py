"""Routing keys and patterns: ours agree with what a topic exchange does."""

import itertools
import random

import pytest
from eventbus.contract.routing import check_pattern, event_type, is_department, matches, overlaps, qualifier
from eventbus.testing.broker import Broker
from hypothesis import given
from hypothesis import strategies as st

WORDS = ("order", "created", "north", "south")
PATTERNS = st.lists(st.sampled_from([*WORDS, "*", "#"]), min_size=1, max_size=5).map(".".join)
KEYS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("order.created.north", "order.created.north", True),
        ("order.created.*", "order.created.north", True),
        ("order.created.*", "order.created", False),
        ("order.created.*", "order.created.north.east", False),
        ("order.#", "order", True),
        ("order.#", "order.created.north", True),
        ("#", "anything.at.all", True),
        ("#.north", "order.created.north", True),
        ("#.*", "order", True),
        ("*.#.*", "order", False),
        ("order.created.north", "order.created.*", False),
    ],
)
def test_pattern_matches_key(pattern: str, key: str, expected: bool) -> None:
    assert matches(pattern, key) is expected


def test_matches_as_the_exchange_does(broker: Broker) -> None:
    chosen = random.Random(4)
    words = ["a", "b", "*", "#"]
    every = [".".join(p) for n in (1, 2, 3, 4) for p in itertools.product(words, repeat=n)]
    patterns = ["#", "a", *chosen.sample(every, 60)]
    keys = [
        "a",
        "b",
        "*",
        "#",
        *(".".join(k) for n in (2, 3) for k in itertools.product(["a", "b", "*", "#"], repeat=n)),
    ]
    routed: dict[str, set[str]] = {}
    with broker.channel() as channel:
        channel.exchange_declare("t", "topic")
        queues = {pattern: channel.queue_declare("", exclusive=True).method.queue for pattern in patterns}
        for pattern, queue in queues.items():
            channel.queue_bind(queue, "t", pattern)
        for key in keys:
            channel.basic_publish("t", key, key.encode())
        for pattern, queue in queues.items():
            count = channel.queue_declare(queue, passive=True).method.message_count
            routed[pattern] = {channel.basic_get(queue, auto_ack=True)[2].decode() for _ in range(count)}
    ours = {pattern: {key for key in keys if matches(pattern, key)} for pattern in patterns}
    assert ours == routed


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("order.created.*", "order.created.north", True),
        ("order.created.*", "order.cancelled.*", False),
        ("order.#", "#.north", True),
        ("order.*", "order.created.*", False),
        ("#", "a", True),
        ("*.*", "#.x.#", True),
        ("order.created.north", "order.created.south", False),
    ],
)
def test_patterns_overlap(one: str, other: str, expected: bool) -> None:
    assert overlaps(one, other) is overlaps(other, one) is expected


@given(PATTERNS, PATTERNS, KEYS)
def test_two_patterns_that_match_one_key_overlap(one: str, other: str, key: str) -> None:
    if matches(one, key) and matches(other, key):
        assert overlaps(one, other)


@given(PATTERNS)
def test_pattern_overlaps_itself(pattern: str) -> None:
    assert overlaps(pattern, pattern)


@pytest.mark.parametrize("pattern", ["order.created.*", "#", "order.#", "order.created.north-east", "a_b.C9"])
def test_possible_pattern_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", ".", "order.", "order..x", "order.cre*", "order created", "ö", "a" * 256])
def test_pattern_that_matches_no_key_of_the_contract_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="routing-key pattern"):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("printer", True),
        ("sap_bridge", True),
        ("p" * 32, True),
        ("p9", True),
        *((name, False) for name in ("", "Printer", "9p", "_p", "p-q", "p.q", "p" * 33, "printer\n", "ü", None, 7)),
    ],
)
def test_name_of_a_department(name: object, expected: bool) -> None:
    assert is_department(name) is expected


def test_words_of_a_key() -> None:
    assert (event_type("order.created.north"), qualifier("order.created.north")) == ("order.created", "north")
    assert (event_type("order"), qualifier("order.created")) == ("order", "")
