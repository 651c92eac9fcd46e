"""Messages that wait for a person: parked by a department (`<department>.dead`) or without a taker (`unclaimed`).

RabbitMQ's quorum queues cannot be browsed. Looking takes every message and gives all of them back together, by one
nack: the order stays (a closed channel scrambles it, measured on 3.10.8), and each message's delivery count rises by
one of its 1,000,000. A queue with a lower limit is not looked at: that could delete.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker

from eventbus.contract import BusHeaders
from eventbus.operator.errors import BusyError, RefusedError
from eventbus.operator.management import Management
from eventbus.topology import PARKED_DELIVERY_LIMIT, UNCLAIMED, dead_queue

LOCK_WAIT_S = 5.0
SNAPSHOT_MAX = 50_000
"""Messages that one command takes: they are in memory, and AMQP counts a prefetch in 16 bits."""
_IDLE_S = 5.0
_LOCKED, _NOT_FOUND = 405, 404
_LIMIT_BY_DEFAULT_SINCE = (4, 0)


@dataclass(frozen=True)
class Parked:
    """One such message."""

    department: str
    delivery_tag: int
    body: bytes
    properties: pika.BasicProperties

    @property
    def headers(self) -> Mapping[str, Any]:
        return self.properties.headers or {}

    @cached_property
    def bus(self) -> BusHeaders:
        return BusHeaders.read(self.headers)

    @property
    def routing_key(self) -> str | None:
        """The original one. A delivery-limit victim carries no headers of ours: the broker noted its key."""
        if self.bus.routing_key:
            return self.bus.routing_key
        keys = self._death.get("routing-keys") or [None]
        return str(keys[0]) if keys[0] and keys[0] != self.department else None

    @property
    def reason_class(self) -> str:
        if self.bus.reason_class:
            return self.bus.reason_class
        return "crashed" if self._death.get("reason") == "delivery_limit" else "-"

    @property
    def reason(self) -> str:
        if self.bus.reason:
            return self.bus.reason
        return "delivered too often without an answer" if self.reason_class == "crashed" else "-"

    @property
    def parked_at(self) -> datetime | None:
        when = self._death.get("time")
        return self.bus.parked_at or (when if isinstance(when, datetime) else None)

    @cached_property
    def order_number(self) -> str | None:
        """The subject of the event, where the body can be read at all."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        subject = body.get("subject") if isinstance(body, dict) else None
        return " ".join(subject.split())[:64] if isinstance(subject, str) else None

    @property
    def fingerprint(self) -> bytes:
        """The same for the same message on a second look."""
        parts = (self.department, self.properties.message_id, self.bus.parked_at, self.headers.get("bus-attempt"))
        return sha256(repr(parts).encode() + self.body).digest()

    @property
    def _death(self) -> Mapping[str, Any]:
        deaths = self.headers.get("x-death")
        first = deaths[0] if isinstance(deaths, list) and deaths else {}
        return first if isinstance(first, dict) else {}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages a command is about; every field that is set must fit."""

    department: str | None = None
    reason: str | None = None
    reason_class: str | None = None
    order: str | None = None
    message_id: str | None = None

    def admits(self, parked: Parked) -> bool:
        return (
            self.department in (None, parked.department)
            and self.reason_class in (None, parked.reason_class)
            and (self.reason is None or self.reason.lower() in parked.reason.lower())
            and (self.order is None or _plain(self.order) == _plain(parked.order_number or ""))
            and self.message_id in (None, parked.properties.message_id)
        )


@dataclass
class Hold:
    """A snapshot of one queue, held until the end of the command. What is not settled goes back, in order."""

    queue: str
    channel: Any
    messages: list[Parked] = field(default_factory=list)
    unseen: int = 0
    """How many more there are than one command takes."""

    def settle(self, message: Parked) -> None:
        """Remove the message from the queue."""
        self.channel.basic_ack(message.delivery_tag)


def queue_of(department: str | None) -> str:
    """Where to look: the department's dead letters, or the unclaimed ones."""
    return dead_queue(department) if department else UNCLAIMED


@contextmanager
def held(connection: pika.BlockingConnection, management: Management, queue: str) -> Iterator[Hold]:
    """The messages that are in the queue now, the first 50,000, under a lock that one `bus` command at a time has.

    Messages that arrive meanwhile are not in it.

    Raises:
        BusyError: another command has the lock.
        RefusedError: there is no such queue, or looking at its messages could delete them.
    """
    check_limit(management, queue)
    with locked(connection, queue):
        channel = connection.channel()
        hold = Hold(queue, channel)
        try:
            _take(hold)
            yield hold
        finally:
            if channel.is_open:
                channel.basic_nack(0, multiple=True, requeue=True)  # 0: whatever is not settled
                channel.close()  # answered only when the broker has seen all that was sent before


def check_limit(management: Management, queue: str) -> None:
    """Raises RefusedError when there is no such queue or its delivery limit is low."""
    found = management.queue(queue)
    if found is None:
        raise RefusedError(f"there is no queue {queue}")
    named = found.get("arguments", {}).get("x-delivery-limit")
    by_policy = (found.get("effective_policy_definition") or {}).get("delivery-limit")
    limits = [limit for limit in (named, by_policy) if limit is not None]
    if not limits and management.version() >= _LIMIT_BY_DEFAULT_SINCE:
        limits = [20]
    if limits and min(limits) < PARKED_DELIVERY_LIMIT:
        raise RefusedError(
            f"queue {queue}: x-delivery-limit: have {min(limits)}, want {PARKED_DELIVERY_LIMIT}: looking could delete"
        )


def _take(hold: Hold) -> None:
    channel, queue = hold.channel, hold.queue
    ready = channel.queue_declare(queue, passive=True).method.message_count
    wanted = min(ready, SNAPSHOT_MAX)
    hold.unseen = ready - wanted
    if not wanted:
        return
    channel.basic_qos(prefetch_count=wanted)  # no more than the snapshot is delivered
    for method, properties, body in channel.consume(queue, inactivity_timeout=_IDLE_S):
        if method is None:
            break
        department = queue.removesuffix(".dead") if queue != UNCLAIMED else method.routing_key
        hold.messages.append(Parked(department, method.delivery_tag, body, properties))
        if len(hold.messages) == wanted:
            break
    channel.cancel()  # before anything is settled: that would let the next ones in


@contextmanager
def locked(connection: pika.BlockingConnection, queue: str) -> Iterator[None]:
    """The lock on a queue that one `bus` command at a time has. Raises BusyError when another keeps it.

    It is an exclusive queue: the broker removes it with the connection, however that ends.
    """
    name = f"bus.lock.{queue}"
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        channel = connection.channel()
        try:
            channel.queue_declare(name, exclusive=True, arguments={"x-queue-type": "classic"})
            break
        except ChannelClosedByBroker as error:
            if error.reply_code != _LOCKED:
                raise RefusedError(f"queue {name}: {error.reply_text}") from error
            if time.monotonic() > deadline:
                raise BusyError(f"another bus command works on {queue}: try again when it is done") from error
        connection.sleep(0.2)
    try:
        yield
    finally:
        if channel.is_open:
            channel.queue_delete(name)
            channel.close()


def _plain(order_number: str) -> str:
    return order_number.replace("-", "").upper()
