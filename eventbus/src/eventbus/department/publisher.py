"""Publishing with confirms, pipelined: any number of greenlets wait each for its own."""

from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import Any

import amqp
from eventlet.event import Event
from eventlet.semaphore import Semaphore

from eventbus.department.link import Link, LinkDownError


class RefusedError(Exception):
    """The broker nacked a message: a queue refused it, or lost it."""


class UnroutableError(Exception):
    """No queue is bound where the message went: the topology is broken."""


class Publisher:
    """Publishes on a link whose channel has been put into confirm mode."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = Semaphore(1)
        self._number = 0
        self._waiting: OrderedDict[int, tuple[Event, float]] = OrderedDict()
        self._alive_at = monotonic()
        self._returned: UnroutableError | None = None
        events = link.channel.events
        events["basic_ack"].add(self._on_ack)
        events["basic_nack"].add(self._on_nack)
        events["basic_return"].add(self._on_return)

    def publish(
        self, exchange: str, routing_key: str, body: bytes, properties: Mapping[str, Any], *, mandatory: bool
    ) -> None:
        """Publish persistently and return once the broker has confirmed.

        Args:
            mandatory: whether it must reach a queue.

        Raises:
            RefusedError: the broker nacked it.
            UnroutableError: it is mandatory, and no queue is bound there.
            LinkDownError: the link went first; whether the message arrived is unknown.
        """
        message = amqp.Message(body, **{**properties, "delivery_mode": 2})
        outcome = Event()
        # not basic_publish: it reads the socket
        with self._lock:  # the number is the broker's count of publishes: number and frame go together
            if self._link.error is not None:
                raise LinkDownError(str(self._link.error))
            self._number += 1
            self._waiting[self._number] = (outcome, monotonic())
            self._link.send(self._send, exchange, routing_key, mandatory, message)
        outcome.wait()

    def silent_s(self) -> float:
        """For how long the oldest message on the way has had no confirm, seconds; 0 when nothing is on the way.

        Any confirm meanwhile, or the end of an alarm, counts as a sign of life.
        """
        if not self._waiting:
            return 0.0
        _, published_at = next(iter(self._waiting.values()))
        return monotonic() - max(published_at, self._alive_at)

    def unblocked(self) -> None:
        """The broker takes messages again: what waited could not be confirmed before."""
        self._alive_at = monotonic()

    def fail(self, error: BaseException) -> None:
        """Tell everybody who waits that the link is gone."""
        waiting, self._waiting = self._waiting, OrderedDict()
        for outcome, _ in waiting.values():
            outcome.send_exception(LinkDownError(str(error)))

    def _send(self, exchange: str, routing_key: str, mandatory: bool, message: amqp.Message) -> None:
        self._link.channel.send_method(
            amqp.spec.Basic.Publish, "Bssbb", (0, exchange, routing_key, mandatory, False), message
        )

    def _on_return(self, error: Exception, *_message: Any) -> None:
        # RabbitMQ sends the return directly before that message's own ack, which is never inside a `multiple`
        self._returned = UnroutableError(str(error))

    def _on_ack(self, number: int, multiple: bool) -> None:
        returned, self._returned = self._returned, None
        for outcome in self._resolved(number, multiple):
            if returned is None:
                outcome.send(None)
            else:
                outcome.send_exception(returned)

    def _on_nack(self, number: int, multiple: bool) -> None:
        for outcome in self._resolved(number, multiple):
            outcome.send_exception(RefusedError("the broker refused the message"))

    def _resolved(self, number: int, multiple: bool) -> list[Event]:
        self._alive_at = monotonic()
        if not multiple:
            found = self._waiting.pop(number, None)
            return [found[0]] if found else []
        numbers = []
        for waiting in self._waiting:
            if waiting > number:
                break
            numbers.append(waiting)
        return [self._waiting.pop(n)[0] for n in numbers]
