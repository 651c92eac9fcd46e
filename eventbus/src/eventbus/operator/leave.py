"""A department leaves: its patterns are unbound, it is announced as left; nothing that waits for it is lost."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pika
from pika.exceptions import NackError, UnroutableError

from eventbus.contract import CONTENT_TYPE, DepartmentLeft, announcement
from eventbus.contract.routing import RESERVED_DEPARTMENT, is_department
from eventbus.operator.check import Broker, patterns_bound
from eventbus.operator.errors import OperatorError, RefusedError
from eventbus.topology import DEPARTMENTS, EVENTS, dead_queue


def leave(
    connection: pika.BlockingConnection, broker: Broker, name: str, *, delete: bool, dry_run: bool
) -> Iterator[str]:
    """A line for each thing done. Asked again it does what is left to do.

    Args:
        delete: also remove its queues. Refused while anything waits in them.
        dry_run: only say what would be done.

    Raises:
        RefusedError: it still consumes, is the tracker, or its queues are not empty.
        OperatorError: the broker did not take the announcement.
    """
    _check(connection, broker, name)
    patterns = patterns_bound(broker, name)
    channel = connection.channel()
    channel.confirm_delivery()
    for pattern in patterns:
        if not dry_run:
            channel.queue_unbind(name, EVENTS, pattern)
        yield f"unbound    {pattern} on {EVENTS}"
    if not dry_run:
        _announce(channel, name, patterns)
    yield f"announced  department.left.{name}"
    if delete:
        yield from _delete(channel, broker, name, dry_run=dry_run)
    else:
        yield from _kept(channel, broker, name)


def _check(connection: pika.BlockingConnection, broker: Broker, name: str) -> None:
    if not is_department(name):
        raise RefusedError(f"{name!r} cannot be the name of a department")
    if name == RESERVED_DEPARTMENT:
        raise RefusedError(f"{name} is the tracker: without it nobody learns how far an order is")
    if name not in broker.queues:
        return  # gone already; the announcement may not have been
    channel = connection.channel()
    consumers = channel.queue_declare(name, passive=True).method.consumer_count
    channel.close()
    if consumers:
        raise RefusedError(f"{name} still has {consumers} consumer(s): stop its processes first")


def _announce(channel: pika.adapters.blocking_connection.BlockingChannel, name: str, patterns: tuple[str, ...]) -> None:
    event = announcement(DepartmentLeft(department=name, patterns=patterns), datetime.now(UTC))
    properties = pika.BasicProperties(
        content_type=CONTENT_TYPE,
        delivery_mode=2,
        message_id=event.id,
        type=event.type,
        app_id=name,
        timestamp=int(datetime.now(UTC).timestamp()),
    )
    try:
        channel.basic_publish(EVENTS, f"{event.type}.{name}", event.encode(), properties)
    except (NackError, UnroutableError) as error:
        raise OperatorError("the broker did not take the announcement: run the command again") from error


def _kept(channel: pika.adapters.blocking_connection.BlockingChannel, broker: Broker, name: str) -> Iterator[str]:
    for queue in (name, dead_queue(name)):
        if queue in broker.queues:
            yield f"kept       queue {queue}, {_ready(channel, queue)} ready"


def _delete(
    channel: pika.adapters.blocking_connection.BlockingChannel, broker: Broker, name: str, *, dry_run: bool
) -> Iterator[str]:
    queues = [queue for queue in (name, dead_queue(name)) if queue in broker.queues]
    _check_empty(channel, queues)
    if name in queues and not dry_run:
        channel.queue_unbind(name, DEPARTMENTS, name)  # what still comes back from a retry tier is kept as unclaimed
        _check_empty(channel, queues)
    for queue in queues:
        if not dry_run:
            channel.queue_delete(queue)
        yield f"deleted    queue {queue}"


def _check_empty(channel: pika.adapters.blocking_connection.BlockingChannel, queues: list[str]) -> None:
    for queue in queues:
        if ready := _ready(channel, queue):
            raise RefusedError(f"queue {queue} has {ready} message(s): redrive or drop them, then delete")


def _ready(channel: pika.adapters.blocking_connection.BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)
