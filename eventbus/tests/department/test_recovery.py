"""The fate of a delivery as a table: outcome and situation in, decision out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eventbus.contract import BusHeaders
from eventbus.department.outcomes import Blocked, Done, InHand, Later, Permanent, Transient
from eventbus.department.recovery import (
    CrashedVerdict,
    Finish,
    HandlerTimeoutError,
    Park,
    Policy,
    Retry,
    Situation,
    UndecodableVerdict,
    UnmatchedKeyError,
    decide,
    hop,
)
from eventbus.topology import TIER_NAMES, TIERS_S
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
POLICY = Policy()


def a_situation(attempt: int = 0, age_s: float = 0, **fields: Any) -> Situation:
    first_failed_at = NOW - timedelta(seconds=age_s) if attempt else None
    history = BusHeaders(attempt=attempt, first_failed_at=first_failed_at)
    return Situation(history=history, routing_key="order.created.north", now=NOW, **fields)


@pytest.mark.parametrize(
    ("attempt", "luck", "tier", "report"),
    [
        (0, 1.0, "retry.1s", "waiting"),
        (0, 0.0, "retry.1s", "waiting"),
        (1, 1.0, "retry.10s", None),
        (1, 0.1, "retry.1s", None),
        (2, 1.0, "retry.1m", None),
        (3, 1.0, "retry.10m", None),
        (4, 1.0, "retry.1h", None),
        (20, 1.0, "retry.1h", None),
    ],
)
def test_transient_goes_to_the_next_tier(attempt: int, luck: float, tier: str, report: str | None) -> None:
    decision = decide(Transient("away"), a_situation(attempt, luck=luck), POLICY)
    assert isinstance(decision.action, Retry)
    assert decision.action.tier == tier
    assert decision.action.headers.attempt == attempt + 1
    assert decision.action.headers.routing_key == "order.created.north"
    assert decision.report == report
    assert decision.signal == "failure"


def test_transient_older_than_a_day_is_parked_as_exhausted() -> None:
    decision = decide(Transient("away"), a_situation(9, 86400), POLICY)
    assert isinstance(decision.action, Park)
    assert decision.action.headers.reason_class == "exhausted"
    assert decision.report == "attention"


@pytest.mark.parametrize("unknown", ["breaker_closed", "target_answers"])
def test_nothing_is_exhausted_while_the_target_answers_nobody(unknown: str) -> None:
    decision = decide(Transient("away"), a_situation(9, 86400, **{unknown: False}), POLICY)
    assert isinstance(decision.action, Retry)


@pytest.mark.parametrize(
    ("outcome", "attempt", "tier"),
    [
        (RuntimeError("x"), 0, "retry.1s"),
        (RuntimeError("x"), 1, "retry.10s"),
        (UnmatchedKeyError("k"), 2, "retry.1m"),
        (None, 3, "retry.10m"),
    ],
)
def test_bug_climbs_the_tiers_without_jitter_or_breaker(outcome: Any, attempt: int, tier: str) -> None:
    decision = decide(outcome, a_situation(attempt, luck=0.0), POLICY)
    assert isinstance(decision.action, Retry)
    assert decision.action.tier == tier
    assert decision.signal == "neutral"


def test_fifth_bug_is_parked() -> None:
    decision = decide(RuntimeError("x"), a_situation(4), POLICY)
    assert isinstance(decision.action, Park)
    assert decision.action.headers.attempt == 5


def test_reason_of_a_bug_holds_no_data() -> None:
    decision = decide(ValueError("Jane Doe"), a_situation(), POLICY)
    assert "Jane" not in str(decision.reason)


def test_retry_after_is_kept_and_the_breaker_does_not_count_it() -> None:
    decision = decide(Transient("busy", retry_after=30), a_situation(), POLICY)
    assert isinstance(decision.action, Retry)
    assert decision.action.headers.not_before == NOW + timedelta(seconds=30)
    assert decision.action.headers.attempt == 1
    assert (decision.action.tier, decision.signal, decision.report) == ("retry.10s", "neutral", "waiting")


def test_later_counts_nothing() -> None:
    decision = decide(Later(70, "lease"), a_situation(2, 50), POLICY)
    assert isinstance(decision.action, Retry)
    assert decision.action.headers.attempt == 2
    assert decision.action.headers.not_before == NOW + timedelta(seconds=70)
    assert (decision.action.tier, decision.signal, decision.report) == ("retry.1m", "neutral", None)


def test_blocked_returns_the_event_uncounted_and_opens_the_breaker() -> None:
    decision = decide(Blocked("login"), a_situation(), POLICY)
    assert decision.action == Retry("retry.1s", BusHeaders(routing_key="order.created.north"))
    assert (decision.signal, decision.report) == ("blocked", None)


def test_permanent_probe_of_a_breaker_that_permanents_opened_waits_a_minute_uncounted() -> None:
    decision = decide(Permanent("mapping"), a_situation(paused_by_permanents=True), POLICY)
    assert decision.action == Retry("retry.1m", BusHeaders(routing_key="order.created.north"))


@pytest.mark.parametrize(
    ("outcome", "reason_class", "report", "attempt"),
    [
        (Permanent("no"), "permanent", "attention", 1),
        (UndecodableVerdict("no"), "undecodable", None, 0),
        (CrashedVerdict("no"), "crashed", "attention", 0),
    ],
)
def test_parked_at_once(outcome: Exception, reason_class: str, report: str | None, attempt: int) -> None:
    decision = decide(outcome, a_situation(), POLICY)
    assert isinstance(decision.action, Park)
    headers = decision.action.headers
    assert (headers.reason_class, headers.reason, headers.attempt) == (reason_class, "no", attempt)
    assert (headers.parked_at, headers.first_failed_at) == (NOW, NOW)
    assert decision.report == report


def test_success_finishes() -> None:
    assert decide(Done("4711"), a_situation(), POLICY).action == Finish(Done("4711"))
    assert decide(InHand("job"), a_situation(), POLICY).action == Finish(None)
    assert decide(InHand("job"), a_situation(), POLICY).report is None


def test_timeout_is_transient() -> None:
    assert decide(HandlerTimeoutError("long"), a_situation(), POLICY).signal == "failure"


@given(st.floats(min_value=1, max_value=86400), st.floats(min_value=0, max_value=0.2))
def test_hops_end_within_a_fifth_of_the_time_asked(seconds: float, hop_cost_s: float) -> None:
    """Every tier keeps a message for its life and a little more; the sum stays within 20 % and a hop."""
    waited, hops = 0.0, 0
    not_before = NOW + timedelta(seconds=seconds)
    while tier := hop(not_before, NOW + timedelta(seconds=waited), TIERS_S):
        waited += TIERS_S[TIER_NAMES.index(tier)] + hop_cost_s
        hops += 1
        assert hops < 50
    assert seconds - 0.8 <= waited <= seconds * 1.25 + hop_cost_s + 1e-6


OUTCOMES = st.one_of(
    st.builds(Done),
    st.builds(InHand),
    st.builds(Later, st.floats(min_value=0, allow_nan=False), st.text()),
    st.builds(Transient, st.text(), st.one_of(st.none(), st.floats(allow_nan=False))),
    st.builds(Blocked, st.text()),
    st.builds(Permanent, st.text()),
    st.builds(ValueError, st.text()),
    st.none(),
    st.integers(),
)


@given(OUTCOMES, st.integers(0, 10**6), st.floats(0, 10**7), st.booleans(), st.floats(0, 1))
def test_every_outcome_has_a_fate(outcome: Any, attempt: int, age_s: float, closed: bool, luck: float) -> None:
    decision = decide(outcome, a_situation(attempt, age_s, breaker_closed=closed, luck=luck), POLICY)
    match decision.action:
        case Retry(tier=tier, headers=headers):
            assert tier in TIER_NAMES
            assert headers.routing_key == "order.created.north"
        case Park(headers=headers):
            assert headers.reason_class is not None
            assert headers.write()["bus-reason"] is not None
        case Finish():
            assert isinstance(outcome, Done | InHand)
