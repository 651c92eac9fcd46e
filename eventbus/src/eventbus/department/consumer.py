"""The department's hold on its queue: connects, consumes, hands events out, pauses, drains.

One place starts and cancels the consumer, `reconcile`: breaker, drain, slow start and reconnect set state and call it.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any

import amqp
import eventlet
from eventlet.event import Event as Signal
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore
from nameko.extensions import SharedExtension

from eventbus.contract import UndecodableError
from eventbus.department import _metrics
from eventbus.department.breaker import Breaker, Limits
from eventbus.department.connection import Connection
from eventbus.department.delivery import Delivery, now
from eventbus.department.handlers import Handler, Handlers
from eventbus.department.isolation import Isolation, is_suspect
from eventbus.department.link import LinkDownError
from eventbus.department.messages import Outgoing, joined
from eventbus.department.recovery import (
    CRASH_DELIVERIES_MAX,
    CrashedVerdict,
    Policy,
    Retry,
    UndecodableVerdict,
    UnmatchedKeyError,
    believed,
    hop,
    unstarted,
)
from eventbus.department.session import Session
from eventbus.department.settings import DepartmentSettings
from eventbus.department.settling import Settler
from eventbus.logs import get_logger

log = get_logger(__name__)

GIVE_BACK_PAUSE_S = 5.0
HUB_LAG_SAMPLE_S = 0.1
CANCEL_S = 3.0
"""The broker may take so long to answer that a consumer is cancelled."""
QUIET_CHECK_S = 0.1
"""How often a suspect that is alone asks whether anything is still on its way."""


class Bus(SharedExtension):
    """Shared by all handlers of a department."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers = Handlers()

    def setup(self) -> None:
        settings: DepartmentSettings = self.container.config["settings"]
        self.settings = settings
        self.name = settings.department
        self.draining = False
        self.in_hand: set[Delivery] = set()
        self._arrived: LightQueue = LightQueue()
        self._control = Semaphore(1)
        self._have = 0
        self._slow = True
        self._isolation = Isolation()
        self._drained: Signal | None = None
        self.connection = Connection(settings, self.handlers, self)
        limits = Limits(
            settings.breaker_failures, settings.breaker_permanent, settings.breaker_open_s, settings.breaker_open_max_s
        )
        self.breaker = Breaker(limits, monotonic)
        policy = Policy(settings.retry_for_s, settings.tier_seconds)
        self.settler = Settler(self.name, policy, self.breaker, self._breaker_changed)

    def register(self, handler: Handler) -> None:
        """A handler says what it is for. Called by each in its own setup."""
        self.handlers.add(handler)

    def start(self) -> None:
        self.handlers.settle_patterns(self.settings.patterns, getattr(self.container.service_cls, "retired", ()))
        self.prefetch = self.settings.prefetch or self.handlers.prefetch(self.settings.max_workers)
        self.container.spawn_managed_thread(self.connection.run)
        self.container.spawn_managed_thread(self._dispatch_all)
        self.container.spawn_managed_thread(self._measure_hub)

    # what the connection tells

    def on_open(self) -> None:
        """A session stands, and the department is announced."""
        self._have, self._slow = 0, True
        self.reconcile()

    def on_lost(self, error: BaseException) -> None:
        """A session has ended. What it delivered comes again."""
        self._have = 0
        self._ask_again()
        self.breaker.probe_lost()
        if isinstance(error, amqp.AccessRefused):
            # without the right to publish every event would be worked on and given back, again and again
            self.breaker.learn("blocked", f"the broker refuses us: {error.reply_text}", probe=False)
            self._breaker_changed()

    def on_delivery(self, session: Session, message: Any) -> None:
        """A message has come. Called by the reader: it must not block."""
        delivery = Delivery.arrived(session, message)
        delivery.headers = believed(delivery.headers, now(), self.settler.policy)
        self.in_hand.add(delivery)
        _metrics.IN_HAND.labels(self.name).set(len(self.in_hand))
        self._arrived.put(delivery)

    def on_misconfigured(self, line: str) -> None:
        """The broker refuses us, and never did otherwise: the process ends with that line."""
        self.container.config["on_misconfigured"](line)

    def announcement(self) -> Outgoing:
        """The department's `department.joined`."""
        asked: list[datetime | None] = [
            p.remembers_since() for p in self.container.dependencies if hasattr(p, "remembers_since")
        ]
        since = max((moment for moment in asked if moment is not None), default=None)
        return joined(self.name, self.handlers.patterns, self.container.config.get("version", "unknown"), since)

    # consuming

    def reconcile(self) -> None:
        """Bring the consumer in line with what breaker, drain and slow start want."""
        with self._control:
            session = self.connection.session
            if session is None or session.error is not None:
                return
            want = self._wanted_prefetch()
            if want == self._have:
                return
            try:
                if self._have:
                    session.cancel()
                if want:
                    session.consume(want)
            except LinkDownError:
                return  # the session's end brings a new one, which reconciles
            self._have = want

    def _wanted_prefetch(self) -> int:
        if self.draining or not self.connection.announced or self.breaker.state in ("open", "probing"):
            return 0
        if self._isolation.suspect is not None:
            return 0
        return 1 if self._slow or self.breaker.state == "half-open" else self.prefetch

    def _breaker_changed(self) -> None:
        _metrics.PAUSED.labels(self.name).set(0 if self.breaker.closed else 1)
        if self.breaker.state == "open":
            self.handlers.pass_on_gathered(lambda d: self._aside(self.pass_on, d, unstarted(d.headers, d.routing_key)))
            eventlet.spawn_after(max(0.0, self.breaker.opens_until - monotonic()) + 0.01, self._breaker_elapsed)
        self.reconcile()

    def _breaker_elapsed(self) -> None:
        if self.breaker.elapsed():
            self.reconcile()

    # handing out

    def _dispatch_all(self) -> None:
        while True:
            delivery = self._arrived.get()
            try:
                self._dispatch(delivery)
            except Exception as error:  # whatever happens to one message, the next is handed out
                log.exception("dispatching failed", department=self.name, event_id=delivery.event_id)
                self._aside(self.settle, delivery, error)

    def _dispatch(self, delivery: Delivery) -> None:
        if self._isolation.has_begun(delivery):
            return  # asked once more than needed
        if delivery.session.error is not None or delivery.settled:  # settled: a drain has given it back
            self._forget(delivery)
        elif self._kills_workers(delivery):
            self._aside(self.settle, delivery, CrashedVerdict(f"delivered {delivery.crashes} times unsettled"))
        elif tier := hop(delivery.headers.not_before, now(), self.settings.tier_seconds):
            self._aside(self.pass_on, delivery, Retry(tier, delivery.headers))
        elif self.breaker.state in ("open", "probing"):
            self._aside(self.pass_on, delivery, unstarted(delivery.headers, delivery.routing_key))
        else:
            self._admit(delivery)

    def _kills_workers(self, delivery: Delivery) -> bool:
        # in a later life of this process the count is of lost connections: it has not died of the message
        return self.connection.first_life and delivery.crashes >= CRASH_DELIVERIES_MAX

    def _admit(self, delivery: Delivery) -> None:
        """Begin it, alone if workers have died with it in hand."""
        if self._slow and not is_suspect(delivery):
            self._slow = False  # slow start: after a reconnect suspects, which come first, come one at a time
            self.reconcile()
        match self._isolation.admit(delivery, self.in_hand, quiet=not delivery.session.may_deliver):
            case "begin":
                self._begin(delivery)
            case "aside":
                self._aside(self.pass_on, delivery, unstarted(delivery.headers, delivery.routing_key))
            case "wait":
                if delivery is self._isolation.suspect:
                    self.reconcile()
                    self._ask_again()

    def _ask_again(self) -> None:
        """A suspect that waits is admitted again: it may be alone now, or its session may have ended."""
        suspect = self._isolation.waiting
        if suspect is None:
            return
        if suspect.session.error is not None:
            self._arrived.put(suspect)
        elif self.in_hand == {suspect}:
            eventlet.spawn_after(QUIET_CHECK_S, self._arrived.put, suspect)

    def _begin(self, delivery: Delivery) -> None:
        if self.breaker.state == "half-open":
            self.breaker.probe_started()
            delivery.probe = True
            self.reconcile()
        try:
            event = delivery.decode()
        except UndecodableError as error:
            delivery.event = None
            self._aside(self.settle, delivery, UndecodableVerdict(str(error)))
            return
        handler = self.handlers.choose(delivery.routing_key)
        if handler is None:
            self._aside(self.settle, delivery, UnmatchedKeyError(delivery.routing_key))
            return
        handler.begin(delivery, event)

    def _aside(self, act: Callable[..., None], delivery: Delivery, *args: Any) -> None:
        eventlet.spawn(act, delivery, *args)

    def settle(self, delivery: Delivery, outcome: Any, *, counts: bool = True) -> None:
        """Carry out what the outcome decides. Never raises, or nameko would end the container."""
        handler = self.handlers.choose(delivery.routing_key)
        reports = handler is None or handler.reports
        try:
            self._settle(delivery, lambda: self.settler.settle(delivery, outcome, counts=counts, reports=reports))
        finally:
            self.release(delivery)

    def pass_on(self, delivery: Delivery, retry: Retry) -> None:
        """Send a delivery that was not started to a tier."""
        try:
            self._settle(delivery, lambda: self.settler.pass_on(delivery, retry))
        finally:
            self.release(delivery)

    def _settle(self, delivery: Delivery, act: Callable[[], None]) -> None:
        """Settle; a bug of ours on the way settles the delivery as a bug; should that fail too, it goes back slowly."""
        try:
            act()
        except Exception as error:
            log.exception("settling failed", department=self.name, event_id=delivery.event_id)
            if delivery.settled:
                return
            try:
                self.settler.settle(delivery, error, counts=False, reports=False)
            except Exception:
                log.exception("settling failed twice", department=self.name, event_id=delivery.event_id)
                eventlet.sleep(GIVE_BACK_PAUSE_S)

    def release(self, delivery: Delivery) -> None:
        """The delivery is no longer in anybody's hands: if it is not settled, it goes back to its queue."""
        if delivery.probe:
            self.breaker.probe_lost()
        if not delivery.settled:
            delivery.settled = True
            with contextlib.suppress(LinkDownError):  # then the broker returns it itself
                delivery.session.give_back(delivery.tag)
        self._forget(delivery)
        if delivery.probe:
            self.reconcile()

    def _forget(self, delivery: Delivery) -> None:
        self.in_hand.discard(delivery)
        if delivery is self._isolation.suspect:
            for behind in self._isolation.end():
                self._arrived.put(behind)
            self.reconcile()
        else:
            self._ask_again()
        _metrics.IN_HAND.labels(self.name).set(len(self.in_hand))

    # ending

    def drain(self) -> None:
        """Stop taking events, finish what was delivered, give back what that takes too long for. The first caller does
        it, others wait."""
        if self._drained is not None:
            self._drained.wait()
            return
        self._drained = Signal()
        self.draining = True
        log.info("draining", department=self.name, in_hand=len(self.in_hand))
        try:
            self.reconcile()
            eventlet.spawn(self.handlers.cut_batches)  # may wait for a worker
            begun_at = monotonic()
            deadline = begun_at + self.settings.drain_s
            while monotonic() < deadline and (self.in_hand or self._may_deliver(begun_at)):
                eventlet.sleep(0.01)
            self._give_up_workers()
            if self.connection.session is not None:
                self.connection.session.flush()
        finally:
            self._drained.send(None)

    def _may_deliver(self, since: float) -> bool:
        """Whether the broker may still send what it sent before it read of the cancel: closed over that, it would be
        delivered again."""
        session = self.connection.session
        return session is not None and session.may_deliver and monotonic() - since < CANCEL_S

    def _give_up_workers(self) -> None:
        for context, worker in list(self.container._worker_threads.items()):
            if context.entrypoint in self.handlers:
                worker.kill()  # GreenletExit in the handler; its deliveries go back
        for delivery in list(self.in_hand):
            self.release(delivery)

    def stop(self) -> None:
        self.connection.close()

    def kill(self) -> None:
        """End without grace: the broker delivers again what was in hand."""
        self.connection.kill()

    # watching

    def _measure_hub(self) -> None:
        gauge = _metrics.HUB_LAG_SECONDS.labels(self.name)
        blocked = _metrics.PUBLISHER_BLOCKED.labels(self.name)
        while True:
            slept_at = monotonic()
            eventlet.sleep(HUB_LAG_SAMPLE_S)
            gauge.set(max(0.0, monotonic() - slept_at - HUB_LAG_SAMPLE_S))
            blocked.set(1 if self._publisher_blocked() else 0)

    def _publisher_blocked(self) -> bool:
        session = self.connection.session
        return session is not None and session.blocked

    def condition(self) -> tuple[bool, dict[str, Any]]:
        """Whether the department is ready, and details for people. A paused department is ready."""
        connected = self.connection.session is not None
        ready = connected and self.connection.announced and not self.draining
        return ready, {
            "department": self.name,
            "connected": connected,
            "draining": self.draining,
            "breaker": self.breaker.state,
            "paused_by": self.breaker.reason,
            "publisher_blocked": self._publisher_blocked(),
            "in_hand": len(self.in_hand),
        }
