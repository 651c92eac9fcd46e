"""The broker's objects as tables. No I/O: the operator's tools walk them with pika, departments with their own link.

Arguments of a queue cannot change later, so one stands here only where correctness needs it; the rest is policy.
Everything works on RabbitMQ 3.10 and 4.x.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

EVENTS = "events"
DEPARTMENTS = "departments"
UNCLAIMED = "unclaimed"
DEAD = "dead"
ARCHIVE = "archive"
ARCHIVE_FEED = "archive.feed"
ARCHIVE_STREAM = "events.archive"

TIER_NAMES = ("retry.1s", "retry.10s", "retry.1m", "retry.10m", "retry.1h")
TIERS_S = (1.0, 10.0, 60.0, 600.0, 3600.0)
"""Lives of the messages in each retry tier. Shorter ones are for tests: the queues' names stay."""
DELIVERY_LIMIT = 20
PARKED_DELIVERY_LIMIT = 1_000_000
"""Looking at a parked message must never delete it: 4.x's default is 20, and -1 on 3.10 deletes at the first return."""
REBIND_TIMES = 3
"""For so many `confirm_timeout_s` nobody publishes to an `events` that was deleted and declared anew: departments bind
their queues again once in each, if they have not lost their connection and come back."""
ARCHIVE_AGE_MAX = "30D"
"""Personal data ages out within the month that a request for erasure allows."""
ARCHIVE_BYTES_MAX = 1_000_000_000
ARCHIVE_SEGMENT_BYTES_MAX = 500_000_000
"""RabbitMQ's own default. A stream shrinks by whole segments, so a small archive gets smaller ones."""
ARCHIVE_SEGMENTS_MIN = 4

ExchangeType = Literal["topic", "direct", "fanout"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: ExchangeType
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue, with the arguments that correctness needs."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue's binding to an exchange."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Objects in the order in which they can be declared: exchanges, queues, bindings."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __iter__(self) -> Iterator[Exchange | Queue | Binding]:
        yield from self.exchanges
        yield from self.queues
        yield from self.bindings

    def in_declaring_order(self) -> Iterator[Exchange | Queue | Binding]:
        """An exchange that no binding of the table needs (`departments`) comes last: it stands for a whole topology,
        so that whoever finds it knows that nobody died half-way."""
        bound = {binding.exchange for binding in self.bindings}
        yield from (item for item in self if not isinstance(item, Exchange) or item.name in bound)
        yield from (exchange for exchange in self.exchanges if exchange.name not in bound)


def _quorum(**arguments: Any) -> Mapping[str, Any]:
    return MappingProxyType(
        {"x-queue-type": "quorum", **{name.replace("_", "-"): value for name, value in arguments.items()}}
    )


def _dead_lettering(exchange: str) -> dict[str, Any]:
    # at-least-once requires reject-publish; without a length limit that never refuses anything
    return {
        "x_dead_letter_exchange": exchange,
        "x_dead_letter_strategy": "at-least-once",
        "x_overflow": "reject-publish",
    }


def shared(tiers_s: tuple[float, ...] = TIERS_S, archive_bytes_max: int = ARCHIVE_BYTES_MAX) -> Topology:
    """What all services share: declared by whoever finds it missing.

    Args:
        tiers_s: lives of the five retry tiers, seconds.
        archive_bytes_max: size of the archive, bytes (kept at most 30 days anyway).
    """
    segment_bytes = min(ARCHIVE_SEGMENT_BYTES_MAX, archive_bytes_max // ARCHIVE_SEGMENTS_MIN)
    tiers = tuple(zip(TIER_NAMES, tiers_s, strict=True))
    return Topology(
        exchanges=(
            Exchange(UNCLAIMED, "fanout"),
            Exchange(EVENTS, "topic"),
            Exchange(DEPARTMENTS, "direct", MappingProxyType({"alternate-exchange": UNCLAIMED})),
            Exchange(DEAD, "topic"),
            Exchange(ARCHIVE, "fanout"),
            *(Exchange(name, "topic") for name, _ in tiers),
        ),
        queues=(
            Queue(UNCLAIMED, _quorum(x_delivery_limit=PARKED_DELIVERY_LIMIT)),
            Queue(
                ARCHIVE_STREAM,
                MappingProxyType(
                    {
                        "x-queue-type": "stream",
                        "x-max-age": ARCHIVE_AGE_MAX,
                        "x-max-length-bytes": archive_bytes_max,
                        "x-stream-max-segment-size-bytes": segment_bytes,
                    }
                ),
            ),
            Queue(ARCHIVE_FEED, _quorum(x_message_ttl=1, **_dead_lettering(ARCHIVE))),
            *(Queue(name, _quorum(x_message_ttl=round(s * 1000), **_dead_lettering(DEPARTMENTS))) for name, s in tiers),
        ),
        bindings=(
            Binding(UNCLAIMED, UNCLAIMED, ""),
            Binding(ARCHIVE, ARCHIVE_STREAM, ""),
            Binding(EVENTS, ARCHIVE_FEED, "#"),
            *(Binding(name, name, "#") for name, _ in tiers),
        ),
    )


def shared_names() -> frozenset[str]:
    """Names of the exchanges and queues that all share. A department of such a name would own what is everybody's."""
    objects = shared()
    return frozenset(exchange.name for exchange in objects.exchanges) | {queue.name for queue in objects.queues}


def dead_queue(department: str) -> str:
    """The name of the department's queue of parked messages."""
    return f"{department}.dead"


def department(name: str, patterns: tuple[str, ...]) -> Topology:
    """What a department declares for itself. The shared objects must stand.

    Args:
        name: the department's, which is its queue's.
        patterns: routing-key patterns bound on `events`.
    """
    return Topology(
        queues=(
            Queue(dead_queue(name), _quorum(x_delivery_limit=PARKED_DELIVERY_LIMIT)),
            Queue(
                name,
                # without a routing key of its own a dead letter keeps order.created.north, which matches nothing in
                # `dead`; never a length limit: one full queue would refuse the relay's publishes for everybody
                _quorum(x_delivery_limit=DELIVERY_LIMIT, x_dead_letter_routing_key=name, **_dead_lettering(DEAD)),
            ),
        ),
        bindings=(
            Binding(DEAD, dead_queue(name), name),
            Binding(DEPARTMENTS, name, name),
            *(Binding(EVENTS, name, pattern) for pattern in patterns),
        ),
    )


class TopologyError(Exception):
    """What the broker holds differs from what we need. The text is one line: object, argument, have, want."""
