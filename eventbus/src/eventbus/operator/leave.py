"""A department leaves: its patterns are unbound, it is announced as left; nothing that waits for it is lost."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError, UnroutableError

from eventbus.contract import CONTENT_TYPE, DepartmentLeft, announcement
from eventbus.contract.routing import RESERVED_DEPARTMENT, is_department
from eventbus.operator.check import Broker, patterns_bound
from eventbus.operator.errors import OperatorError, RefusedError
from eventbus.operator.management import Management
from eventbus.operator.parked import locked
from eventbus.topology import DEPARTMENTS, EVENTS, dead_queue

STATISTICS_AGE_S = 11.0
"""A quorum queue reports what is held every 5 s, the management API collects every 5 s: no count is older than this."""
_STATISTICS_WAIT_S = 30.0
_SAMPLE_EVERY_S = 0.5
_PURPOSES = ("consume", "publish")


def leave(
    connection: pika.BlockingConnection,
    management: Management,
    name: str,
    *,
    delete: bool,
    force: bool = False,
    dry_run: bool = False,
) -> Iterator[str]:
    """A line for each thing done. Asked again it does what is left to do.

    Args:
        delete: also remove its queues. Refused while anything waits in them or somebody holds a message of them.
        force: although connections of its processes are open, or no queue of it is there.
        dry_run: only say what would be done.

    Raises:
        RefusedError: it still consumes or is connected, is the tracker, is unknown here, or its queues are not empty.
        BusyError: another `bus` command works on a queue that should go.
        OperatorError: the broker did not take the announcement.
    """
    broker = Broker(management)
    _check(connection, broker, name, force=force)
    yield from _check_connections(management, name, force=force)
    with ExitStack() as locks:
        if delete:  # another command may hold every message of the queue, which then looks empty
            for queue in (name, dead_queue(name)):
                locks.enter_context(locked(connection, queue))
        yield from _leave(connection, management, broker, name, delete=delete, dry_run=dry_run)


def _leave(
    connection: pika.BlockingConnection,
    management: Management,
    broker: Broker,
    name: str,
    *,
    delete: bool,
    dry_run: bool,
) -> Iterator[str]:
    if delete:  # before anybody hears that it left
        _check_nothing_ready(connection.channel(), _queues(broker, name))
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
        yield from _delete(connection, management, broker, name, dry_run=dry_run)
    else:
        yield from _kept(channel, broker, name)


def _queues(broker: Broker, name: str) -> list[str]:
    return [queue for queue in (name, dead_queue(name)) if queue in broker.queues]


def _check(connection: pika.BlockingConnection, broker: Broker, name: str, *, force: bool) -> None:
    if not is_department(name):
        raise RefusedError(f"{name!r} cannot be the name of a department")
    if name == RESERVED_DEPARTMENT:
        raise RefusedError(f"{name} is the tracker: without it nobody learns how far an order is")
    if not (_queues(broker, name) or force):
        raise RefusedError(
            f"there is no queue of {name!r}: bus departments lists them; --force announces it all the same"
        )
    if name not in broker.queues:
        return  # gone already; the announcement may not have been
    channel = connection.channel()
    consumers = channel.queue_declare(name, passive=True).method.consumer_count
    channel.close()
    if consumers:
        raise RefusedError(f"{name} still has {consumers} consumer(s): stop its processes first")


def _check_connections(management: Management, name: str, *, force: bool) -> Iterator[str]:
    """One that its breaker paused has no consumer, and still holds messages."""
    own = {f"{name} {purpose}" for purpose in _PURPOSES}
    names = [(c.get("client_properties") or {}).get("connection_name") for c in management.connections()]
    if count := sum(found in own for found in names):
        if not force:
            raise RefusedError(f"{name} still has {count} open connection(s): stop its processes first, or use --force")
        yield f"WARNING    {name} still has {count} open connection(s): a process that runs may fail or come back"


def _announce(channel: BlockingChannel, name: str, patterns: tuple[str, ...]) -> None:
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


def _kept(channel: BlockingChannel, broker: Broker, name: str) -> Iterator[str]:
    for queue in _queues(broker, name):
        yield f"kept       queue {queue}, {_ready(channel, queue)} ready"


def _delete(
    connection: pika.BlockingConnection, management: Management, broker: Broker, name: str, *, dry_run: bool
) -> Iterator[str]:
    queues = _queues(broker, name)
    channel = connection.channel()
    if not dry_run and queues:
        if name in queues:
            channel.queue_unbind(name, DEPARTMENTS, name)  # what still comes back from a retry tier goes to unclaimed
        _check_nothing_held(connection, management, queues)
        _check_nothing_ready(channel, queues)
    for queue in queues:
        if not dry_run:
            channel.queue_delete(queue)  # quorum queues know no if-empty and no if-unused
        yield f"deleted    queue {queue}"


def _check_nothing_ready(channel: BlockingChannel, queues: list[str]) -> None:
    for queue in queues:
        found = channel.queue_declare(queue, passive=True).method
        if found.message_count:
            way_out = "redrive or drop them" if queue.endswith(dead_queue("")) else "let its processes work them off"
            raise RefusedError(f"queue {queue} has {found.message_count} message(s): {way_out}, then delete")
        if found.consumer_count:  # a quorum queue also counts who cancelled but holds messages (measured on 3.10.8)
            users = f"{found.consumer_count} consumer(s) or holders of messages"
            raise RefusedError(f"queue {queue} still has {users}: stop their processes first")


def _check_nothing_held(connection: pika.BlockingConnection, management: Management, queues: list[str]) -> None:
    """Returns when no message was held for so long that even the oldest count is of this time."""
    started = time.monotonic()
    free_since: float | None = None
    while free_since is None or time.monotonic() - free_since < STATISTICS_AGE_S:
        held = {queue: (management.queue(queue) or {}).get("messages_unacknowledged") for queue in queues}
        waited = time.monotonic() - started
        for queue, count in held.items():
            if count and waited > STATISTICS_AGE_S:  # no old count: it may be of a command that just ended
                raise RefusedError(f"queue {queue} has {count} message(s) that some process holds: stop that first")
            if count is None and waited > _STATISTICS_WAIT_S:
                raise RefusedError(f"queue {queue}: the broker does not tell how many messages of it are held")
        if any(count != 0 for count in held.values()):
            free_since = None
        elif free_since is None:
            free_since = time.monotonic()
        connection.sleep(_SAMPLE_EVERY_S)


def _ready(channel: BlockingChannel, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).method.message_count)
