"""The department's connection to the broker: one session after the other, on one host after the other."""

import random
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import amqp
import eventlet
from eventlet.event import Event as Signal

from eventbus import topology
from eventbus.department import _metrics
from eventbus.department.declaring import declare
from eventbus.department.handlers import Handlers
from eventbus.department.link import Endpoint, LinkDownError
from eventbus.department.messages import Outgoing
from eventbus.department.session import Session, SessionSettings, StuckError
from eventbus.department.settings import DepartmentSettings
from eventbus.logs import get_logger

log = get_logger(__name__)

RECONNECT_S = 0.5
RECONNECT_MAX_S = 5.0
PROVED_S = 30.0
"""A session that lived so long was worth trying."""


class DeadlineError(Exception):
    """Ends a wait from outside."""


class Consumes(Protocol):
    """What uses the connection."""

    def on_delivery(self, session: Session, message: Any) -> None: ...

    def on_open(self) -> None:
        """A session stands, and the department is announced: deliveries may come."""

    def on_lost(self, error: BaseException) -> None:
        """A session has ended."""

    def announcement(self) -> Outgoing:
        """The department's `department.joined`. May raise whatever its databases raise."""

    def on_misconfigured(self, line: str) -> None:
        """The broker refuses us, and never did otherwise."""


class Connection:
    """Holds a session, or is about to get one.

    Attributes:
        session: the one that stands, or None.
        announced: whether the department has been announced since the process started.
        lived: whether a session of this process has ever been confirmed anything.
        first_life: whether the session that stands is the first of that kind.
    """

    def __init__(self, settings: DepartmentSettings, handlers: Handlers, consumer: Consumes) -> None:
        self._settings = settings
        self._handlers = handlers
        self._consumer = consumer
        self._name = settings.department
        self._endpoints = [Endpoint.parse(url) for url in settings.amqp_url]
        random.shuffle(self._endpoints)  # balances the replicas over the broker's hosts
        self._generation = 0
        self._session_ready = Signal()
        self._refused_max_s = settings.confirm_timeout_s
        self._events_gone = False  # with `events` went the bindings of all departments
        self.session: Session | None = None
        self.announced = False
        self.lived = False
        self.first_life = True
        self.stopping = False

    def run(self) -> None:
        """Connect, and connect again, until stopped."""
        pause_s, must_declare, unreachable = RECONNECT_S, True, 0
        while not self.stopping:
            self._generation += 1
            session = Session(
                self._generation, self._endpoints[0], self._session_settings(), self._consumer.on_delivery
            )
            opened = self._open(session, must_declare)
            if opened:
                self._live(session)
                must_declare = session.declare_next
                if session.confirmed or monotonic() - session.opened_at > PROVED_S:
                    pause_s = RECONNECT_S
            else:
                must_declare = must_declare or session.declare_next
                unreachable += 1
            self._endpoints.append(self._endpoints.pop(0))
            # only a host that could not be reached has the next one tried at once
            if (opened or unreachable % len(self._endpoints) == 0) and not self.stopping:
                eventlet.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause_s = min(pause_s * 2, RECONNECT_MAX_S)

    def _session_settings(self) -> SessionSettings:
        s = self._settings
        return SessionSettings(
            queue=self._name,
            bindings=topology.department(self._name, self._handlers.patterns).bindings,
            heartbeat_s=s.heartbeat_s,
            confirm_timeout_s=s.confirm_timeout_s,
            refused_max_s=self._refused_max_s,
            ca=Path(s.amqp_ca) if s.amqp_ca else None,
        )

    def _open(self, session: Session, must_declare: bool) -> bool:
        try:
            session.open(self._declare if must_declare else None)
        except topology.TopologyError as error:
            self._refused(str(error))
        except (amqp.AccessRefused, amqp.NotAllowed) as error:
            self._refused(f"{session.endpoint}: {error.reply_text}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the loop goes on to try again
            log.warning("broker not usable yet", department=self._name, host=str(session.endpoint), error=str(error))
            session.declare_next = isinstance(error, amqp.NotFound)
        else:
            return True
        return False

    def _declare(self, channel: Any) -> None:
        shared = topology.shared(self._settings.tier_seconds, self._settings.archive_bytes_max)
        own = topology.department(self._name, self._handlers.patterns)
        declare(channel, shared, own, self._handlers.retired, self._name, again=self.lived)

    def _refused(self, line: str) -> None:
        if not self.lived:  # what was right once may be wrong for a while; what never was is a configuration's fault
            self.stopping = True
            self._consumer.on_misconfigured(line)
        log.error("the broker refuses us", department=self._name, error=line)

    def _live(self, session: Session) -> None:
        """From an open session to its end."""
        self.session = session
        self.first_life = not self.lived
        session.start(eventlet.spawn)
        _metrics.LINK_UP.labels(self._name).set(1)
        _metrics.GENERATION.labels(self._name).set(session.generation)
        log.info("connected", department=self._name, host=str(session.endpoint), generation=session.generation)
        if self._events_gone:
            self._wait_until_others_bind(session)
        self._session_ready.send(None)
        if self.announced:
            self._consumer.on_open()
        else:
            eventlet.spawn(self._announce, session)
        session.down.wait()
        self.lived = self.lived or session.confirmed
        self._session_ready = Signal()
        self.session = None
        _metrics.LINK_UP.labels(self._name).set(0)
        error = session.error or LinkDownError("closed")
        if not self.stopping:
            log.warning("connection lost", department=self._name, error=str(error))
        self._events_gone = isinstance(error, amqp.NotFound) and f"'{topology.EVENTS}'" in str(error)
        # each end of a session brings deliveries nearer to their limit: where a queue is full, later each time
        self._refused_max_s = (
            self._refused_max_s * 2 if isinstance(error, StuckError) else self._settings.confirm_timeout_s
        )
        self._consumer.on_lost(error)

    def _wait_until_others_bind(self, session: Session) -> None:
        """Take and publish nothing yet: a report that the tracker has not bound its queue for would reach nobody."""
        wait_s = topology.REBIND_TIMES * self._settings.confirm_timeout_s
        reason = "the other departments have to bind their queues again"
        log.warning("exchange was deleted", department=self._name, waiting_s=wait_s, reason=reason)
        with eventlet.Timeout(wait_s, False):
            session.down.wait()

    def _announce(self, session: Session) -> None:
        """Announce the department, then let it consume: one that may not publish must not take an event."""
        pause_s = RECONNECT_S
        while session.error is None and not self.announced:
            try:
                session.insist(self._consumer.announcement())
            except LinkDownError:
                return  # the next session announces
            except Exception:  # its database is away, say
                log.exception("cannot announce the department yet", department=self._name)
                eventlet.sleep(pause_s)
                pause_s = min(pause_s * 2, RECONNECT_MAX_S)
            else:
                self.announced = True
                self._consumer.on_open()

    def publish(self, message: Outgoing, deadline_s: float) -> None:
        """Publish with confirm on whatever session stands, waiting for one if need be.

        Raises:
            LinkDownError: not confirmed within `deadline_s`.
        """
        try:
            with eventlet.Timeout(deadline_s, DeadlineError()):
                while not self._published(message):
                    eventlet.sleep(0)
        except DeadlineError:
            raise LinkDownError(f"not confirmed within {deadline_s:g} s") from None

    def _published(self, message: Outgoing) -> bool:
        self._session_ready.wait()
        session = self.session
        if session is None:
            return False
        try:
            session.insist(message)
        except LinkDownError:
            return False
        return True

    def close(self) -> None:
        """Take leave of the broker."""
        self.stopping = True
        if self.session is not None:
            self.session.close()

    def kill(self) -> None:
        """End without grace: the broker delivers again what was in hand."""
        self.stopping = True
        if self.session is not None:
            self.session.fail(LinkDownError("killed"))
