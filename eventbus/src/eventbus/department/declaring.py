"""Walks the topology's tables over a link that nobody reads yet (so it may wait for replies)."""

from typing import Any

import amqp

from eventbus import mismatch, topology
from eventbus.logs import get_logger
from eventbus.topology import Binding, Exchange, Queue, Topology, TopologyError

log = get_logger(__name__)


class SharedMissingError(Exception):
    """What all services share is not there (yet), and this user may not declare it."""


def declare(
    channel: Any, shared: Topology, own: Topology, retired: tuple[str, ...], queue: str, *, again: bool
) -> None:
    """Make the broker hold what a department needs.

    Shared objects are asserted passively and declared, with their bindings, only where one is missing: declaring and
    binding again need rights that a department does not have.

    Args:
        channel: an open amqp channel; a refused method closes it, and py-amqp opens it again.
        shared: what all services share.
        own: the department's queues and bindings.
        retired: patterns that the department gave up, to be unbound.
        queue: the department's queue.
        again: something that stood at the start has gone: bindings of shared objects are tried too, as AMQP cannot
            ask for them.

    Raises:
        TopologyError: the broker holds an object with other arguments.
        SharedMissingError: a shared object is missing, and this user may not declare it.
        amqp.AccessRefused: this user may not have a queue of that name, or not bind it so.
    """
    named: tuple[Exchange | Queue, ...] = (*shared.exchanges, *shared.queues)
    missing = [item.name for item in named if not _exists(channel, item)]
    if missing:
        try:
            for item in shared.in_declaring_order():
                _declare(channel, item)
        except amqp.AccessRefused as error:
            raise SharedMissingError(f"missing: {', '.join(missing)}; run bus topology declare") from error
    elif again:
        _bind_again(channel, shared)
    for item in own:
        _declare(channel, item)
    for pattern in retired:
        channel.queue_unbind(queue, topology.EVENTS, pattern)


def _bind_again(channel: Any, shared: Topology) -> None:
    for binding in shared.bindings:
        try:
            _declare(channel, binding)
        except amqp.AccessRefused:
            log.warning("may not bind what all share: run bus topology declare", queue=binding.queue)
            return


def _exists(channel: Any, item: Exchange | Queue) -> bool:
    try:
        if isinstance(item, Exchange):
            channel.exchange_declare(item.name, item.type, passive=True)
        else:
            channel.queue_declare(item.name, passive=True)
    except amqp.NotFound:
        return False
    return True


def _declare(channel: Any, item: Exchange | Queue | Binding) -> None:
    try:
        match item:
            case Exchange():
                channel.exchange_declare(
                    item.name, item.type, durable=True, auto_delete=False, arguments=dict(item.arguments)
                )
            case Queue():
                channel.queue_declare(item.name, durable=True, auto_delete=False, arguments=dict(item.arguments))
            case Binding():
                channel.queue_bind(item.queue, item.exchange, item.routing_key)
    except amqp.PreconditionFailed as error:
        name = getattr(item, "name", topology.EVENTS)
        raise TopologyError(mismatch.parsed(type(item).__name__.lower(), name, error.reply_text)) from error
