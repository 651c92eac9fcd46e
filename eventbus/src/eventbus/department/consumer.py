"""The department's hold on its queue: connects, consumes, hands events out, pauses, drains.

One place starts and cancels the consumer, `reconcile`: breaker, drain, slow start and reconnect set state and call it.
"""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import amqp
import eventlet
from eventlet.event import Event as Signal
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore
from nameko.extensions import SharedExtension

from eventbus import topology
from eventbus.contract import UndecodableError
from eventbus.department import _metrics
from eventbus.department.breaker import Breaker, Limits
from eventbus.department.declaring import SharedMissingError, declare
from eventbus.department.delivery import Delivery, now
from eventbus.department.handlers import Handlers
from eventbus.department.link import Endpoint, LinkDownError
from eventbus.department.messages import Outgoing, joined
from eventbus.department.recovery import (
    CRASH_DELIVERIES_MAX,
    CrashedVerdict,
    Policy,
    Retry,
    UndecodableVerdict,
    UnmatchedKeyError,
    hop,
    unstarted,
)
from eventbus.department.session import Session, SessionSettings
from eventbus.department.settings import DepartmentSettings
from eventbus.department.settling import Settler
from eventbus.logs import get_logger

if TYPE_CHECKING:
    from eventbus.department.subscription import Subscribe

log = get_logger(__name__)

RECONNECT_S = 0.5
RECONNECT_MAX_S = 5.0
HUB_LAG_SAMPLE_S = 0.1
ARRIVED_TWICE = 2
"""From this delivery count on, the message has been in hand when a worker died or lost its connection."""


class Bus(SharedExtension):
    """Shared by all handlers of a department."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers = Handlers()

    def setup(self) -> None:
        settings: DepartmentSettings = self.container.config["settings"]
        self.settings = settings
        self.name = settings.department
        self.session: Session | None = None
        self.draining = False
        self.stopping = False
        self.in_hand: set[Delivery] = set()
        self._arrived: LightQueue = LightQueue()
        self._control = Semaphore(1)
        self._have = 0
        self._slow = True
        self._generation = 0
        self._drained: Signal | None = None
        self._announced = False
        self._session_ready = Signal()
        self._endpoints = [Endpoint.parse(url) for url in settings.amqp_url]
        random.shuffle(self._endpoints)  # balances the replicas over the broker's hosts
        limits = Limits(
            settings.breaker_failures, settings.breaker_permanent, settings.breaker_open_s, settings.breaker_open_max_s
        )
        self.breaker = Breaker(limits, monotonic)
        policy = Policy(settings.retry_for_s, settings.tier_seconds)
        self.settler = Settler(self.name, policy, self.breaker, self._breaker_changed)

    def register(self, handler: "Subscribe") -> None:
        """A handler says what it is for. Called by each in its own setup."""
        self.handlers.add(handler)

    def start(self) -> None:
        self.handlers.settle_patterns(self.settings.patterns, getattr(self.container.service_cls, "retired", ()))
        self.prefetch = self.settings.prefetch or self.handlers.prefetch(self.settings.max_workers)
        self.container.spawn_managed_thread(self._run)
        self.container.spawn_managed_thread(self._dispatch_all)
        self.container.spawn_managed_thread(self._measure_hub)

    # connection

    def _run(self) -> None:
        pause_s, must_declare, attempts = RECONNECT_S, True, 0
        while not self.stopping:
            endpoint = self._endpoints[0]
            self._generation += 1
            session = Session(self._generation, endpoint, self._session_settings(), self._on_delivery)
            try:
                session.open(self._declare if must_declare else None)
            except topology.TopologyError as error:
                self._end_process(must_declare and self._generation == 1, str(error))
            except (amqp.AccessRefused, amqp.NotAllowed) as error:
                self._end_process(attempts == 0 and self._generation == 1, f"{endpoint}: {error.reply_text}")
            except (LinkDownError, SharedMissingError, amqp.AMQPError, OSError) as error:
                log.warning("broker not usable yet", department=self.name, host=str(endpoint), error=str(error))
                must_declare = must_declare or isinstance(error, amqp.NotFound)
            else:
                self._live(session)
                must_declare = session.declare_next
                if session.proved:
                    pause_s, attempts = RECONNECT_S, 0
            self._endpoints.append(self._endpoints.pop(0))
            attempts += 1
            if attempts % len(self._endpoints) == 0 and not self.stopping:
                eventlet.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause_s = min(pause_s * 2, RECONNECT_MAX_S)

    def _session_settings(self) -> SessionSettings:
        s = self.settings
        return SessionSettings(self.name, s.heartbeat_s, s.confirm_timeout_s, Path(s.amqp_ca) if s.amqp_ca else None)

    def _declare(self, channel: Any) -> None:
        shared = topology.shared(self.settings.tier_seconds, self.settings.archive_bytes_max)
        own = topology.department(self.name, self.handlers.patterns)
        declare(channel, shared, own, self.handlers.retired, self.name)

    def _end_process(self, at_start: bool, line: str) -> None:
        if at_start:
            self.container.config["on_misconfigured"](line)
        log.error("the broker refuses us", department=self.name, error=line)

    def _live(self, session: Session) -> None:
        """From an open session to its end."""
        self.session, self._have, self._slow = session, 0, True
        session.start(eventlet.spawn)
        _metrics.LINK_UP.labels(self.name).set(1)
        _metrics.GENERATION.labels(self.name).set(session.generation)
        log.info("connected", department=self.name, host=str(session.endpoint), generation=session.generation)
        self.reconcile()
        self._session_ready.send(None)
        if not self._announced:
            eventlet.spawn(self._announce, session)
        session.down.wait()
        self._session_ready = Signal()
        self.session, self._have = None, 0
        self.breaker.probe_lost()
        _metrics.LINK_UP.labels(self.name).set(0)
        if not self.stopping:
            log.warning("connection lost", department=self.name, error=str(session.error))

    def _announce(self, session: Session) -> None:
        remembering = [p.remembers_since for p in self.container.dependencies if hasattr(p, "remembers_since")]
        since = max((moment for ask in remembering if (moment := ask()) is not None), default=None)
        version = self.container.config.get("version", "0")
        try:
            session.insist(joined(self.name, self.handlers.patterns, version, since))
        except LinkDownError:
            return  # the next session announces
        self._announced = True

    def publish(self, message: Outgoing, deadline_s: float) -> None:
        """Publish with confirm on whatever session stands, waiting for one if need be.

        Raises:
            LinkDownError: not confirmed within `deadline_s`.
        """
        with eventlet.Timeout(deadline_s, LinkDownError(f"not confirmed within {deadline_s:g} s")):
            while True:
                self._session_ready.wait()
                session = self.session
                if session is None:
                    eventlet.sleep(0)
                    continue
                try:
                    return session.insist(message)
                except LinkDownError:
                    eventlet.sleep(0)

    # consuming

    def reconcile(self) -> None:
        """Bring the consumer in line with what breaker, drain and slow start want."""
        with self._control:
            session = self.session
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
        if self.draining or self.breaker.state in ("open", "probing"):
            return 0
        return 1 if self._slow or self.breaker.state == "half-open" else self.prefetch

    def _breaker_changed(self) -> None:
        _metrics.PAUSED.labels(self.name).set(0 if self.breaker.closed else 1)
        if self.breaker.state == "open":
            eventlet.spawn_after(max(0.0, self.breaker.opens_until - monotonic()) + 0.01, self._breaker_elapsed)
        self.reconcile()

    def _breaker_elapsed(self) -> None:
        if self.breaker.elapsed():
            self.reconcile()

    def _on_delivery(self, message: Any) -> None:
        session = self.session
        if session is not None:
            delivery = Delivery.arrived(session, message)
            self.in_hand.add(delivery)
            _metrics.IN_HAND.labels(self.name).set(len(self.in_hand))
            self._arrived.put(delivery)

    # handing out

    def _dispatch_all(self) -> None:
        while True:
            delivery = self._arrived.get()
            try:
                self._dispatch(delivery)
            except Exception:  # whatever happens to one message, the next is handed out
                log.exception("dispatching failed", department=self.name, event_id=delivery.event_id)
                self.release(delivery)

    def _dispatch(self, delivery: Delivery) -> None:
        if delivery.session.error is not None:
            self._forget(delivery)
        elif self.draining:
            self.release(delivery)
        elif self._kills_workers(delivery):
            self._aside(self.settle, delivery, CrashedVerdict(f"delivered {delivery.times_delivered} times unsettled"))
        elif tier := hop(delivery.headers.not_before, now(), self.settings.tier_seconds):
            self._aside(self.pass_on, delivery, Retry(tier, delivery.headers))
        elif self.breaker.state in ("open", "probing"):
            self._aside(self.pass_on, delivery, unstarted(delivery.headers, delivery.routing_key))
        else:
            self._begin(delivery)

    def _kills_workers(self, delivery: Delivery) -> bool:
        """Slow start: after a reconnect events come one at a time, so that only the one that kills is counted."""
        if not self._slow:
            return False
        if delivery.times_delivered >= CRASH_DELIVERIES_MAX:
            return True
        if delivery.times_delivered < ARRIVED_TWICE:
            self._slow = False
            self.reconcile()
        return False

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
        try:
            self.settler.settle(delivery, outcome, counts=counts, reports=handler is None or handler.reports)
        except Exception:
            log.exception("settling failed", department=self.name, event_id=delivery.event_id)
        finally:
            self.release(delivery)

    def pass_on(self, delivery: Delivery, retry: Retry) -> None:
        """Send a delivery that was not started to a tier."""
        try:
            self.settler.pass_on(delivery, retry)
        except Exception:
            log.exception("passing on failed", department=self.name, event_id=delivery.event_id)
        finally:
            self.release(delivery)

    def release(self, delivery: Delivery) -> None:
        """The delivery is no longer in anybody's hands: if it is not settled, it goes back to its queue."""
        if not delivery.settled:
            delivery.settled = True
            if delivery.probe:
                self.breaker.probe_lost()
            with contextlib.suppress(LinkDownError):  # then the broker returns it itself
                delivery.session.give_back(delivery.tag)
            if not self.draining:
                self.reconcile()
        self._forget(delivery)

    def _forget(self, delivery: Delivery) -> None:
        self.in_hand.discard(delivery)
        _metrics.IN_HAND.labels(self.name).set(len(self.in_hand))

    # ending

    def drain(self) -> None:
        """Stop taking events, finish those in hand, give the rest back. The first caller does it, others wait."""
        if self._drained is not None:
            self._drained.wait()
            return
        self._drained = Signal()
        self.draining = True
        log.info("draining", department=self.name, in_hand=len(self.in_hand))
        self.reconcile()
        self.handlers.cut_batches()
        deadline = monotonic() + self.settings.drain_s
        while self.in_hand and monotonic() < deadline:
            eventlet.sleep(0.01)
        self._give_up_workers()
        if self.session is not None:
            self.session.flush()
        self._drained.send(None)

    def _give_up_workers(self) -> None:
        for context, worker in list(self.container._worker_threads.items()):
            if context.entrypoint in self.handlers:
                worker.kill()  # GreenletExit in the handler; its deliveries go back
        for delivery in list(self.in_hand):
            self.release(delivery)

    def stop(self) -> None:
        self.stopping = True
        if self.session is not None:
            self.session.close()

    def kill(self) -> None:
        """End without grace: the broker delivers again what was in hand."""
        self.stopping = True
        if self.session is not None:
            self.session.fail(LinkDownError("killed"))

    # watching

    def _measure_hub(self) -> None:
        gauge = _metrics.HUB_LAG_SECONDS.labels(self.name)
        blocked = _metrics.PUBLISHER_BLOCKED.labels(self.name)
        while True:
            slept_at = monotonic()
            eventlet.sleep(HUB_LAG_SAMPLE_S)
            gauge.set(max(0.0, monotonic() - slept_at - HUB_LAG_SAMPLE_S))
            blocked.set(1 if self.session is not None and self.session.blocked else 0)

    def condition(self) -> tuple[bool, dict[str, Any]]:
        """Whether the department is ready, and details for people. A paused department is ready."""
        connected = self.session is not None
        ready = connected and not self.draining
        return ready, {
            "department": self.name,
            "connected": connected,
            "draining": self.draining,
            "breaker": self.breaker.state,
            "paused_by": self.breaker.reason,
            "publisher_blocked": self.session is not None and self.session.blocked,
            "in_hand": len(self.in_hand),
        }
