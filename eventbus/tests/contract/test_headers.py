"""Our headers are optional and untrusted; whoever publishes again strips the broker's."""

from datetime import UTC, datetime
from typing import Any

import pytest
from eventbus.contract import BusHeaders
from eventbus.contract.headers import one_line, redriven, republished
from hypothesis import given
from hypothesis import strategies as st
from pika.compat import long

AT = datetime(2026, 11, 24, 7, 19, 46, 123000, tzinfo=UTC)
FULL = BusHeaders(
    attempt=3,
    routing_key="order.created.north",
    reason="no such product",
    reason_class="permanent",
    first_failed_at=AT,
    parked_at=AT,
    not_before=AT,
    replay=True,
)
BROKERS = {
    "x-death": [{"queue": "printer"}],
    "x-delivery-count": 4,
    "x-acquired-count": 4,
    "x-first-death-queue": "printer",
    "x-first-death-reason": "expired",
    "x-last-death-exchange": "dead",
}


def test_what_is_written_reads_the_same() -> None:
    assert BusHeaders.read(FULL.write()) == FULL


def test_what_is_not_known_is_left_out() -> None:
    assert BusHeaders().write() == {}
    assert BusHeaders.read(None) == BusHeaders() == BusHeaders.read({})


NO_MOMENTS = ("yesterday", 1764000000, AT, "2026-11-24", "9999-12-31T23:59:59-23:59", None)
FORGED_VALUES: dict[str, tuple[object, ...]] = {
    "bus-attempt": (0, -1, True, "3", 3.0, 10**9, None, []),
    "bus-routing-key": ("", "k" * 256, "ü" * 128, 7, None, b"order.created.north"),
    "bus-reason-class": ("fatal", "", 7, ["permanent"], None),
    "bus-reason": (7, None, {"a": 1}),
    "bus-first-failed-at": NO_MOMENTS,
    "bus-parked-at": NO_MOMENTS,
    "bus-not-before": NO_MOMENTS,
    "bus-replay": (1, "true", None),
}
FORGED = [{name: value} for name, values in FORGED_VALUES.items() for value in values]


@pytest.mark.parametrize("forged", FORGED, ids=repr)
def test_forged_header_counts_as_absent(forged: dict[str, Any]) -> None:
    assert BusHeaders.read(forged) == BusHeaders()


def test_forged_header_takes_no_other_with_it() -> None:
    assert BusHeaders.read({**FULL.write(), "bus-parked-at": 7}).attempt == 3


def test_number_of_another_width_is_a_number() -> None:
    assert BusHeaders.read({"bus-attempt": long(3)}).attempt == 3  # as pika reads a 64-bit integer


@given(st.dictionaries(st.sampled_from(sorted(FULL.write())), st.none() | st.integers() | st.text() | st.binary()))
def test_reading_never_fails(headers: dict[str, Any]) -> None:
    BusHeaders.read(headers)


def test_reason_is_one_line_of_500_characters() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 501)) == 500


@given(st.text(st.characters(codec=None, categories=None)))
def test_reason_can_be_written_anywhere(reason: str) -> None:
    written = BusHeaders(reason=reason).write()["bus-reason"]
    written.encode("utf-8")
    assert written.isprintable()
    assert BusHeaders(reason="a\nb").write() == {"bus-reason": "a b"}


def test_published_again_without_what_the_broker_takes_for_a_cycle() -> None:
    headers = {**BROKERS, "theirs": "kept", "x-tenant": "kept too", "bus-attempt": 1, "bus-replay": True}
    assert republished(headers, BusHeaders(attempt=2)) == {"theirs": "kept", "x-tenant": "kept too", "bus-attempt": 2}


def test_redriven_starts_afresh_under_its_original_key() -> None:
    headers = {**BROKERS, **FULL.write(), "theirs": "kept"}
    assert redriven(headers, None) == {
        "theirs": "kept",
        "bus-routing-key": "order.created.north",
        "bus-replay": True,
    }


def test_redriven_without_a_key_of_its_own_takes_the_one_that_the_broker_noted() -> None:
    assert redriven(None, "order.created.south") == {"bus-routing-key": "order.created.south"}
    assert redriven({"bus-routing-key": "k" * 999}, "order.created.south") == {"bus-routing-key": "order.created.south"}
