"""The fate of a delivery: a pure function of the handler's outcome, the delivery's history and the settings.

The caller carries the decision out: it publishes with confirm, then acknowledges.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from eventbus.contract.headers import BusHeaders, ReasonClass
from eventbus.contract.order import State
from eventbus.department.outcomes import Blocked, Done, InHand, Later, Outcome, Permanent, Transient
from eventbus.topology import TIER_NAMES, TIERS_S

BUG_ATTEMPTS_MAX = 5
CRASH_DELIVERIES_MAX = 5
"""A delivery that comes this often is taken to kill its worker (each crash raises the broker's count)."""
CLOCK_DIFFERENCE_S = 60
"""By how much the clocks of two workers may differ."""
EARLIEST_SHARE = 0.8
"""An event may come back this share of a tier's life before its `bus-not-before`."""
STEP_BACK_SHARE = 0.2
"""Jitter: this share of retries takes the tier before, so that a crowd that failed together comes back apart."""

BreakerSignal = Literal["success", "failure", "permanent", "blocked", "neutral"]


class UndecodableVerdict(Exception):  # noqa: N818 - a verdict on a message
    """The message is no event: parked with its original bytes, the handler is not called."""


class CrashedVerdict(Exception):  # noqa: N818 - a verdict on a message
    """Worker processes died of this delivery: parked unrun."""


class HandlerTimeoutError(Exception):
    """The handler took longer than its limit. Whether its effect happened is unknown: the ledger decides."""


class WrongOutcomeError(TypeError):
    """The handler returned something that is no outcome: our own bug, never success."""


class UnmatchedKeyError(Exception):
    """No handler's pattern matches the routing key: a newer department's event in a rolling update."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about retries. Times in seconds."""

    retry_for_s: float = 86400.0
    tiers_s: tuple[float, ...] = TIERS_S


@dataclass(frozen=True, slots=True)
class Finish:
    """Acknowledge, after the result (if any) is confirmed."""

    result: Done | None


@dataclass(frozen=True, slots=True)
class Retry:
    """Publish to the tier with these headers, then acknowledge."""

    tier: str
    headers: BusHeaders


@dataclass(frozen=True, slots=True)
class Park:
    """Publish to `dead` with these headers, then acknowledge."""

    headers: BusHeaders


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a delivery, what to report first, and what the breaker learns from it."""

    action: Finish | Retry | Park
    report: State | None
    signal: BreakerSignal
    reason: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision depends on besides the outcome.

    Attributes:
        history: the delivery's `bus-` headers.
        routing_key: the original one.
        now: the moment of the decision, with zone.
        breaker_closed: nothing is parked as exhausted while the breaker is not closed.
        target_answers: the same until the target has answered somebody since the start: it may be away for long.
        paused_by_permanents: the breaker is not closed because of `Permanent` verdicts.
        luck: a random number from 0 to 1, for jitter.
    """

    history: BusHeaders
    routing_key: str
    now: datetime
    breaker_closed: bool = True
    target_answers: bool = True
    paused_by_permanents: bool = False
    luck: float = 1.0


def decide(outcome: Outcome | BaseException, situation: Situation, policy: Policy) -> Decision:
    """The fate of a delivery whose handler returned or raised this. Total: anything unknown is a bug."""
    match outcome:
        case Done():
            return Decision(Finish(outcome), "done", "success")
        case InHand():
            return Decision(Finish(None), None, "success")
        case Later(seconds=seconds, reason=reason):
            return _later(seconds, reason, situation, policy)
        case Transient(retry_after=None) | HandlerTimeoutError():
            return _transient(str(outcome), situation, policy)
        case Transient(retry_after=float() | int() as seconds, reason=reason):
            return _asked_to_wait(seconds, reason, situation, policy)
        case Blocked(reason=reason):
            return Decision(unstarted(situation.history, situation.routing_key), None, "blocked", reason)
        case Permanent(reason=reason):
            if situation.paused_by_permanents:
                headers = replace(situation.history, routing_key=situation.routing_key)
                return Decision(Retry(TIER_NAMES[2], headers), None, "permanent", reason)
            return _park("permanent", reason, _failed(situation), situation, signal="permanent")
        case UndecodableVerdict():
            return _park("undecodable", str(outcome), situation.history, situation, report=None)
        case CrashedVerdict():
            return _park("crashed", str(outcome), situation.history, situation)
        case _:
            return _bug(outcome, situation)


def unstarted(history: BusHeaders, routing_key: str) -> Retry:
    """Where a delivery goes that an opening breaker keeps from starting: the first tier, uncounted."""
    return Retry(TIER_NAMES[0], replace(history, routing_key=routing_key))


def believed(history: BusHeaders, now: datetime, policy: Policy) -> BusHeaders:
    """The history without times that we never write: they would hold an event for ever."""
    not_before, first_failed_at = history.not_before, history.first_failed_at
    if not_before is not None and not_before > now + timedelta(seconds=policy.retry_for_s):
        not_before = None
    if first_failed_at is not None and first_failed_at > now + timedelta(seconds=CLOCK_DIFFERENCE_S):
        first_failed_at = None
    return replace(history, not_before=not_before, first_failed_at=first_failed_at)


def hop(not_before: datetime | None, now: datetime, tiers_s: tuple[float, ...]) -> str | None:
    """The tier in which an event waits on until its `bus-not-before`, or None when its time has come."""
    if not_before is None:
        return None
    left_s = (not_before - now).total_seconds()
    if left_s < EARLIEST_SHARE * tiers_s[0]:
        return None
    fitting = [name for name, life_s in zip(TIER_NAMES, tiers_s, strict=True) if life_s * EARLIEST_SHARE <= left_s]
    return fitting[-1]


def _later(seconds: float, reason: str, situation: Situation, policy: Policy) -> Decision:
    not_before = situation.now + timedelta(seconds=max(0.0, min(seconds, policy.retry_for_s)))
    tier = hop(not_before, situation.now, policy.tiers_s) or TIER_NAMES[0]
    headers = replace(situation.history, routing_key=situation.routing_key, not_before=not_before)
    return Decision(Retry(tier, headers), None, "neutral", reason)


def _failed(situation: Situation) -> BusHeaders:
    history = situation.history
    return replace(
        history,
        attempt=history.attempt + 1,
        routing_key=situation.routing_key,
        first_failed_at=history.first_failed_at or situation.now,
        not_before=None,
    )


def _report_of_failure(headers: BusHeaders) -> State | None:
    return "waiting" if headers.attempt == 1 else None


def _is_exhausted(headers: BusHeaders, situation: Situation, policy: Policy) -> bool:
    assert headers.first_failed_at is not None
    age_s = (situation.now - headers.first_failed_at).total_seconds()
    target_works = situation.breaker_closed and situation.target_answers
    return target_works and age_s >= policy.retry_for_s


def _transient(reason: str, situation: Situation, policy: Policy) -> Decision:
    headers = _failed(situation)
    if _is_exhausted(headers, situation, policy):
        return _park("exhausted", reason, headers, situation, signal="failure")
    step = min(headers.attempt, len(TIER_NAMES)) - 1
    if step > 0 and situation.luck < STEP_BACK_SHARE:
        step -= 1
    return Decision(Retry(TIER_NAMES[step], headers), _report_of_failure(headers), "failure", reason)


def _asked_to_wait(seconds: float, reason: str, situation: Situation, policy: Policy) -> Decision:
    headers = _failed(situation)
    if _is_exhausted(headers, situation, policy):
        return _park("exhausted", reason, headers, situation, signal="neutral")
    not_before = situation.now + timedelta(seconds=max(0.0, min(seconds, policy.retry_for_s)))
    tier = hop(not_before, situation.now, policy.tiers_s) or TIER_NAMES[0]
    headers = replace(headers, not_before=not_before)
    return Decision(Retry(tier, headers), _report_of_failure(headers), "neutral", reason, retry_after_s=seconds)


def _bug(outcome: object, situation: Situation) -> Decision:
    reason = f"{type(outcome).__name__} in the handler" if isinstance(outcome, BaseException) else "wrong outcome"
    headers = _failed(situation)
    if headers.attempt >= BUG_ATTEMPTS_MAX:
        return _park("exhausted", reason, headers, situation)
    tier = TIER_NAMES[min(headers.attempt, len(TIER_NAMES)) - 1]
    return Decision(Retry(tier, headers), _report_of_failure(headers), "neutral", reason)


def _park(
    reason_class: ReasonClass,
    reason: str,
    headers: BusHeaders,
    situation: Situation,
    *,
    report: State | None = "attention",
    signal: BreakerSignal = "neutral",
) -> Decision:
    parked = replace(
        headers,
        routing_key=situation.routing_key,
        reason=reason,
        reason_class=reason_class,
        first_failed_at=headers.first_failed_at or situation.now,
        parked_at=situation.now,
        not_before=None,
    )
    return Decision(Park(parked), report, signal, reason)
