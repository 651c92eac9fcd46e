"""Carries out what was decided on a delivery: publish with confirm, then acknowledge."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from eventbus import topology
from eventbus.contract.headers import BusHeaders
from eventbus.department import _metrics
from eventbus.department.breaker import Breaker
from eventbus.department.delivery import Delivery, now
from eventbus.department.link import LinkDownError
from eventbus.department.messages import Outgoing, again, report
from eventbus.department.outcomes import Outcome
from eventbus.department.recovery import Decision, Finish, Park, Policy, Retry, Situation, decide
from eventbus.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles the deliveries of one department.

    Attributes:
        department: its name.
        policy: when a failure is retried or parked.
        breaker: learns from every outcome.
        reconcile: called when the breaker changed, before the acknowledgement, so that no next event is fetched.
    """

    department: str
    policy: Policy
    breaker: Breaker
    reconcile: Callable[[], None]

    def settle(
        self, delivery: Delivery, outcome: Outcome | BaseException, *, counts: bool = True, reports: bool = True
    ) -> None:
        """Decide on the outcome and carry it out. A lost connection leaves the delivery to the broker.

        Args:
            delivery: the one the outcome is of.
            outcome: what its handler returned or raised.
            counts: whether the breaker learns from it (a batch that failed together is one failure).
            reports: whether progress is reported (only the tracker's is not).
        """
        decision = decide(outcome, self._situation(delivery), self.policy)
        if counts or delivery.probe:
            changed = self.breaker.learn(
                decision.signal, decision.reason, probe=delivery.probe, retry_after_s=decision.retry_after_s
            )
            delivery.probe = False
            if changed:
                self._breaker_changed(decision)
        self._carry_out(delivery, decision, outcome, reports)

    def pass_on(self, delivery: Delivery, retry: Retry) -> None:
        """Send a delivery that was not started to a tier, uncounted."""
        headers = replace(retry.headers, crashes=delivery.crashes)  # the broker counts anew what is published again
        self._finish(delivery, [self._again(delivery, retry.tier, headers)])

    def _situation(self, delivery: Delivery) -> Situation:
        return Situation(
            history=replace(delivery.headers, crashes=0),  # it came to an outcome: it kills nobody
            routing_key=delivery.routing_key,
            now=now(),
            breaker_closed=self.breaker.closed,
            target_answers=self.breaker.target_answers,
            paused_by_permanents=self.breaker.cause == "permanent" and not self.breaker.closed,
            luck=random.random(),  # noqa: S311 - jitter
        )

    def _breaker_changed(self, decision: Decision) -> None:
        if self.breaker.state == "open":
            log.warning("paused", department=self.department, cause=self.breaker.cause, reason=decision.reason)
        elif self.breaker.closed:
            log.info("resumed", department=self.department)
        self.reconcile()

    def _carry_out(
        self, delivery: Delivery, decision: Decision, outcome: Outcome | BaseException, reports: bool
    ) -> None:
        messages = self._report(delivery, decision) if reports else []
        match decision.action:
            case Retry(tier=tier, headers=headers):
                messages.append(self._again(delivery, tier, headers))
            case Park(headers=headers):
                messages.append(self._again(delivery, topology.DEAD, headers))
            case Finish():
                pass
        if self._finish(delivery, messages):
            self._tell(delivery, decision, outcome)

    def _report(self, delivery: Delivery, decision: Decision) -> list[Outgoing]:
        cause = delivery.cause() if decision.report is not None else None
        if decision.report is None or cause is None:
            return []
        match decision.action:
            case Finish(result=result) if result is not None:
                reference, detail, attempt = result.reference, result.detail, None
            case Retry(headers=headers) | Park(headers=headers):
                reference, detail, attempt = None, decision.reason, headers.attempt
            case _:
                return []
        state = decision.report
        return [report(self.department, cause, state, reference=reference, detail=detail, attempt=attempt or None)]

    def _again(self, delivery: Delivery, exchange: str, headers: BusHeaders) -> Outgoing:
        return again(exchange, self.department, delivery.body, delivery.properties, headers)

    def _finish(self, delivery: Delivery, messages: list[Outgoing]) -> bool:
        """Publish all with confirm, then acknowledge. Returns whether it was: nothing may fail in between."""
        refused = _metrics.REFUSED.labels(self.department).inc
        try:
            for message in messages:
                delivery.session.insist(message, refused)
        except LinkDownError:
            delivery.settled = True  # not ours any more: the broker delivers it again
            _metrics.STALE.labels(self.department).inc()
            return False
        delivery.settled = True
        delivery.session.ack(delivery.tag)
        return True

    def _tell(self, delivery: Delivery, decision: Decision, outcome: Outcome | BaseException) -> None:
        about: dict[str, Any] = {
            "department": self.department,
            "order": delivery.event.subject if delivery.event else None,
            "event_id": delivery.event_id,
            "attempt": delivery.headers.attempt + 1,
            "seconds": delivery.seconds(),
        }
        match decision.action:
            case Finish(result=result):
                _metrics.HANDLED.labels(self.department, "done" if result else "in hand").inc()
                log.info("done" if result else "in hand", **about, reference=getattr(outcome, "reference", None))
            case Retry(tier=tier):
                _metrics.RETRIED.labels(self.department, tier).inc()
                later = decision.signal == "neutral" and decision.report is None
                log.log(20 if later else 30, "will retry", **about, tier=tier, reason=decision.reason)
            case Park(headers=headers):
                _metrics.PARKED.labels(self.department, str(headers.reason_class)).inc()
                log.error("parked", **about, reason_class=headers.reason_class, reason=decision.reason)
