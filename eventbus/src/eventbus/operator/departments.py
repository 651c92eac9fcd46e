"""Who is on the bus and what waits for whom. Nothing is taken from any queue for it."""

from dataclasses import dataclass

import pika
from pika.exceptions import ChannelClosedByBroker

from eventbus.operator.announcements import Announced, Announcements
from eventbus.operator.check import Broker
from eventbus.operator.management import Management
from eventbus.topology import ARCHIVE_FEED, TIER_NAMES, UNCLAIMED, dead_queue


@dataclass(frozen=True, slots=True)
class DepartmentState:
    """One department. `unacked` is None while the broker has no statistics yet (they are up to 5 s old)."""

    name: str
    ready: int
    unacked: int | None
    consumers: int
    is_connected: bool
    """Whether a process of it has its consuming connection: without a consumer it is paused, or just starting."""
    parked: int | None
    """None: it has no queue for what it parks."""
    announced: Announced | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queue that all departments share. `stuck`: expired, but its target did not take it yet."""

    queue: str
    ready: int | None
    """None: there is no such queue."""
    stuck: int | None


def departments(
    connection: pika.BlockingConnection, management: Management, broker: Broker, known: Announcements
) -> list[DepartmentState]:
    """Every department that has a queue, by name."""
    states = []
    connected = {(c.get("client_properties") or {}).get("connection_name") for c in management.connections()}
    for name in broker.departments():
        ready, consumers = _counts(connection, name) or (0, 0)
        parked = _counts(connection, dead_queue(name))
        states.append(
            DepartmentState(
                name=name,
                ready=ready,
                unacked=broker.queues[name].get("messages_unacknowledged"),
                consumers=consumers,
                is_connected=f"{name} consume" in connected,
                parked=parked[0] if parked else None,
                announced=known.latest.get(name),
            )
        )
    return states


def shared_queues(connection: pika.BlockingConnection, broker: Broker) -> list[Waiting]:
    """What waits in the retry tiers, in the archive's feed and without a taker."""
    waiting = []
    for queue in (*TIER_NAMES, ARCHIVE_FEED, UNCLAIMED):
        counts = _counts(connection, queue)
        waiting.append(Waiting(queue, counts[0] if counts else None, broker.queues.get(queue, {}).get("messages_dlx")))
    return waiting


def _counts(connection: pika.BlockingConnection, queue: str) -> tuple[int, int] | None:
    """Messages ready and consumers, as a passive declaration tells them; None when there is no such queue."""
    channel = connection.channel()
    try:
        declared = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker:
        return None
    channel.close()
    return int(declared.message_count), int(declared.consumer_count)
