"""One generation of connection to the broker: a link that consumes and one that publishes, on the same host.

Two links, because a memory alarm blocks the publishing one; acknowledgements go on. Trouble on either ends both.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import amqp
import eventlet
from amqp import spec
from eventlet.event import Event

from eventbus.department.acks import Acks
from eventbus.department.link import Endpoint, Link, LinkDownError
from eventbus.department.messages import Outgoing
from eventbus.department.publisher import Publisher, RefusedError, UnroutableError
from eventbus.topology import Binding

ACK_DELAY_S = 0.002
AFTER_CANCEL_S = 0.3
"""A quorum queue applies a cancel after the broker has answered it: deliveries follow that answer."""
INSIST_PAUSE_S = 0.2
INSIST_PAUSE_MAX_S = 5.0
SUSPICIONS_MAX = 2
"""A leader that is slow to answer may once be told as a queue without consumers."""
PROGRESS_CHECK_S = 30.0
"""How often the broker is asked whether it still lists the consumer."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs to know. Times in seconds."""

    queue: str
    bindings: tuple[Binding, ...]
    """The department's own, bound again every `confirm_timeout_s`: AMQP cannot ask whether they stand."""
    heartbeat_s: int
    confirm_timeout_s: float
    refused_max_s: float
    """How long one message may be refused before the session ends: a channel may be stuck with a leader that died."""
    ca: Path | None


class StuckError(LinkDownError):
    """The broker went on refusing a message: another channel may reach another leader of the queue."""


class Session:
    """Open as long as `error` is None. Deliveries of an ended session are never acknowledged: they come again."""

    def __init__(
        self,
        generation: int,
        endpoint: Endpoint,
        settings: SessionSettings,
        on_delivery: Callable[["Session", Any], None],
    ) -> None:
        self.generation = generation
        self.endpoint = endpoint
        self.error: BaseException | None = None
        self.down = Event()
        self.blocked = False
        self.declare_next = False
        """Whether the next session has to declare: this one met something that was not there."""
        self.confirmed = False
        """Whether the broker has confirmed anything here."""
        self.opened_at = monotonic()
        self._settings = settings
        self._on_delivery = on_delivery
        self.acks = Acks()
        self._flush_planned = False
        self._prefetch = 0
        self._consumers = 0
        self._tag: str | None = None
        self._cancelling: set[str] = set()
        self._cancelled_at = 0.0
        self._delivered_at = monotonic()
        self._asked_at: float | None = None
        self._suspicions = 0
        self.consuming = self._link("consume")
        self.publishing = self._link("publish")
        self._publisher: Publisher | None = None
        self._binding: Any = None
        self._bound_at = monotonic()

    def _link(self, purpose: str) -> Link:
        def blocked(on: bool) -> None:
            self.blocked = on
            if not on and self._publisher is not None:
                self._publisher.unblocked()

        return Link(
            self.endpoint,
            name=f"{self._settings.queue} {purpose}",
            heartbeat_s=self._settings.heartbeat_s,
            ca=self._settings.ca,
            on_down=self.fail,
            on_blocked=blocked,
        )

    def open(self, prepare: Callable[[Any], None] | None) -> None:
        """Connect both links; `prepare(channel)` may declare before anybody reads.

        Raises:
            LinkDownError, amqp.exceptions.AMQPError, TopologyError: from connecting or preparing.
        """
        try:
            self.consuming.open()
            if prepare is not None:
                with eventlet.Timeout(60, LinkDownError("declaring took longer than 60 s")):
                    prepare(self.consuming.channel)
            # of their own channel: while a node of the cluster is silent a binding hangs, and would hold up deliveries
            self._binding = self.consuming.connection.channel()
            self.publishing.open()
            self.publishing.channel.confirm_select()
        except BaseException:
            self.fail(LinkDownError("not opened"))
            raise
        self._publisher = Publisher(self.publishing)
        self.consuming.channel._callbacks[spec.Queue.DeclareOk] = self._on_queue_state
        self.consuming.channel._callbacks[spec.Basic.CancelOk] = self._on_cancelled

    def start(self, spawn: Callable[[Callable[[], None]], Any]) -> None:
        """Start reading, heartbeats and the watch on progress."""
        self.consuming.start(spawn)
        self.publishing.start(spawn)
        spawn(self._watch)

    def fail(self, error: BaseException) -> None:
        """End this session, once."""
        if self.error is not None:
            return
        self.error = error
        if isinstance(error, amqp.NotFound | amqp.ConsumerCancelled):
            self.declare_next = True
        self.consuming.fail(error)
        self.publishing.fail(error)
        if self._publisher is not None:
            self._publisher.fail(error)
        self.down.send(None)

    def close(self) -> None:
        """Flush acknowledgements and take leave."""
        if self.error is not None:
            return
        self.flush()
        self.error = LinkDownError("closed")
        self.publishing.close()
        self.consuming.close()
        if self._publisher is not None:
            self._publisher.fail(self.error)
        self.down.send(None)

    # consuming

    def consume(self, prefetch: int) -> None:
        """Let deliveries come, at most `prefetch` unacknowledged."""
        self._consumers += 1
        self._prefetch = prefetch
        self._delivered_at = monotonic()
        tag = self._tag = f"{self._settings.queue}-{self.generation}-{self._consumers}"
        channel = self.consuming.channel
        channel.callbacks[tag] = self._deliver
        self.consuming.send(channel.send_method, spec.Basic.Qos, "lBb", (0, prefetch, False))
        arguments: tuple[Any, ...] = (0, self._settings.queue, tag, False, False, False, True, {})
        self.consuming.send(channel.send_method, spec.Basic.Consume, "BssbbbbF", arguments)

    def cancel(self) -> None:
        """Let no more deliveries come. Those on the way still do, so the tag's callback stays."""
        if self._tag is not None:
            tag, self._tag = self._tag, None
            self._cancelling.add(tag)
            self.consuming.send(self.consuming.channel.send_method, spec.Basic.Cancel, "sb", (tag, False))

    @property
    def may_deliver(self) -> bool:
        """Whether deliveries of a cancelled consumer may still be on the way."""
        if self.error is not None:
            return False
        quiet_s = monotonic() - max(self._cancelled_at, self._delivered_at)
        return bool(self._cancelling) or quiet_s < AFTER_CANCEL_S

    def _on_cancelled(self, tag: str) -> None:
        self._cancelling.discard(tag)
        self._cancelled_at = monotonic()

    def _deliver(self, message: Any) -> None:
        self._delivered_at = monotonic()
        self._suspicions = 0
        self.acks.delivered(message.delivery_tag)
        self._on_delivery(self, message)

    def ack(self, tag: int) -> None:
        """Acknowledge within two milliseconds, or sooner where many wait."""
        self.acks.settle(tag)
        if self.acks.pending >= max(1, self._prefetch // 4):
            self.flush()
        elif not self._flush_planned:
            self._flush_planned = True
            eventlet.spawn_after(ACK_DELAY_S, self._planned_flush)

    def _planned_flush(self) -> None:
        self._flush_planned = False
        self.flush()

    def flush(self) -> None:
        """Send the acknowledgements collected so far, if the session still stands."""
        if self.error is not None:
            return
        try:
            for tag, multiple in self.acks.flush():
                self.consuming.send(self.consuming.channel.send_method, spec.Basic.Ack, "Lb", (tag, multiple))
        except LinkDownError:
            return  # the link has told this session; the broker delivers again what it did not hear of

    def give_back(self, tag: int) -> None:
        """Return a delivery to its queue. A nack: from RabbitMQ 4.3 a reject counts towards the delivery limit."""
        self.acks.forget(tag)
        if self.error is None:
            self.consuming.send(self.consuming.channel.send_method, spec.Basic.Nack, "Lbb", (tag, False, True))

    # publishing

    def insist(self, message: Outgoing, on_retry: Callable[[], None] = lambda: None) -> None:
        """Publish until confirmed; gives up only with the session.

        Raises:
            LinkDownError: the session ended first, or the message must reach a queue and there is none (the next
                session declares again), or it was refused for too long (StuckError).
        """
        pause_s, begun_at = INSIST_PAUSE_S, monotonic()
        while True:
            if self._publisher is None or self.error is not None:
                raise LinkDownError(str(self.error or "not open"))
            try:
                self._publisher.publish(
                    message.exchange, message.routing_key, message.body, message.properties, mandatory=message.mandatory
                )
            except RefusedError:
                on_retry()
                if monotonic() - begun_at > self._settings.refused_max_s:
                    error = StuckError(f"{message.exchange} {message.routing_key} refused again and again")
                    self.fail(error)
                    raise error from None
                eventlet.sleep(pause_s)
                pause_s = min(pause_s * 2, INSIST_PAUSE_MAX_S)
            except UnroutableError as error:
                self.declare_next = True
                self.fail(LinkDownError(f"no queue behind {message.exchange} {message.routing_key}: {error}"))
                raise LinkDownError(str(self.error)) from error
            else:
                self.confirmed = True
                return

    # progress

    def _watch(self) -> None:
        while True:
            eventlet.sleep(min(1.0, self._settings.confirm_timeout_s / 4))
            if self.error is not None:
                return
            if monotonic() - self._bound_at > self._settings.confirm_timeout_s:
                self._bound_at = monotonic()
                with contextlib.suppress(LinkDownError):  # the link has told this session
                    self._bind_again()
            silent_s = self._publisher.silent_s() if self._publisher else 0.0
            if not self.blocked and silent_s > self._settings.confirm_timeout_s:
                self.fail(LinkDownError(f"{self.endpoint} has confirmed nothing for {silent_s:.0f} s"))
            elif self._tag is not None:
                with contextlib.suppress(LinkDownError):  # the link has told this session
                    self._ask_queue_state()

    def _bind_again(self) -> None:
        """An exchange that was deleted and declared anew passes nothing on, and nothing else would tell. Where it is
        missing the broker closes the channel, and the next session declares."""
        for binding in self._settings.bindings:
            arguments: tuple[Any, ...] = (0, binding.queue, binding.exchange, binding.routing_key, True, {})
            self.consuming.send(self._binding.send_method, spec.Queue.Bind, "BsssbF", arguments)

    def _ask_queue_state(self) -> None:
        now = monotonic()
        if self._asked_at is None:
            if now - self._delivered_at > PROGRESS_CHECK_S:
                self._asked_at = now
                arguments: tuple[Any, ...] = (0, self._settings.queue, True, False, False, False, False, {})
                self.consuming.send(self.consuming.channel.send_method, spec.Queue.Declare, "BsbbbbbF", arguments)
        elif now - self._asked_at > PROGRESS_CHECK_S:
            self.fail(LinkDownError(f"{self.endpoint} does not answer about queue {self._settings.queue}"))

    def _on_queue_state(self, _queue: str, ready: int, consumers: int) -> None:
        asked_at, self._asked_at = self._asked_at, None
        if self._tag is None or asked_at is None:
            return
        idle = self._delivered_at < asked_at and len(self.acks) == 0
        self._suspicions = self._suspicions + 1 if consumers == 0 or (ready > 0 and idle) else 0
        if self._suspicions >= SUSPICIONS_MAX:
            self.fail(LinkDownError(f"the broker no longer delivers to us: {ready} ready, {consumers} consumers"))
        else:
            self._delivered_at = monotonic()  # asked again after the next silence
