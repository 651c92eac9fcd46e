"""What can be done to a broker, and which of our users may: the expectation that a real broker is compared with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
from eventbus.rights import OPERATOR, RELAY, TOPOLOGY

from eventbus import topology

Action = Callable[[Any], object]

PRINTER, TRACKER = "printer", "orders"
USERS = (PRINTER, TRACKER, RELAY, TOPOLOGY, OPERATOR)
DEPARTMENTS = {
    PRINTER: topology.department(PRINTER, ("order.created.*",)),
    "marketing": topology.department("marketing", ("order.created.*",)),
    TRACKER: topology.department(TRACKER, ("order.progressed.*", "department.joined.*", "department.left.*")),
}


@dataclass(frozen=True)
class Operation:
    """One thing done with a pika channel, and who may."""

    what: str
    do: Action
    allowed: frozenset[str]
    undo: Action | None = None
    """What an administrator does afterwards."""


def _may(*users: str) -> frozenset[str]:
    return frozenset(users)


def published(exchange: str, key: str, *allowed: str) -> Operation:
    def do(channel: Any) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}", pika.BasicProperties(delivery_mode=2))

    return Operation(f"publish to {exchange or 'the default exchange'} by {key or 'no key'}", do, _may(*allowed))


def consumed(queue: str, *allowed: str) -> Operation:
    def do(channel: Any) -> None:
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume(queue, lambda *_: None)

    return Operation(f"consume {queue}", do, _may(*allowed))


def purged(queue: str, *allowed: str) -> Operation:
    return Operation(f"purge {queue}", lambda channel: channel.queue_purge(queue), _may(*allowed))


def bound(queue: str, exchange: str, key: str, *allowed: str) -> Operation:
    return Operation(
        f"bind {queue} to {exchange} by {key or 'no key'}",
        lambda channel: channel.queue_bind(queue, exchange, key),
        _may(*allowed),
        undo=None
        if any(topology.Binding(exchange, queue, key) in d.bindings for d in DEPARTMENTS.values())
        else lambda channel: channel.queue_unbind(queue, exchange, key),
    )


def exchange_bound(target: str, source: str, key: str, *allowed: str) -> Operation:
    return Operation(
        f"bind exchange {target} to {source} by {key}",
        lambda channel: channel.exchange_bind(target, source, key),
        _may(*allowed),
        undo=lambda channel: channel.exchange_unbind(target, source, key),
    )


def unbound(queue: str, exchange: str, key: str, *allowed: str, stands: bool = True) -> Operation:
    return Operation(
        f"unbind {queue} from {exchange} by {key}",
        lambda channel: channel.queue_unbind(queue, exchange, key),
        _may(*allowed),
        undo=(lambda channel: channel.queue_bind(queue, exchange, key)) if stands else None,
    )


def queue_declared(name: str, arguments: dict[str, Any], what: str, *allowed: str) -> Operation:
    return Operation(
        f"declare queue {what}",
        lambda channel: channel.queue_declare(name, durable=True, arguments=arguments),
        _may(*allowed),
        undo=(lambda channel: channel.queue_delete(name)) if name == "new" else None,
    )


def exchange_declared(name: str, *allowed: str) -> Operation:
    return Operation(
        f"declare exchange {name}",
        lambda channel: channel.exchange_declare(name, "topic", durable=True),
        _may(*allowed),
        undo=(lambda channel: channel.exchange_delete(name)) if name == "new" else None,
    )


def exchange_deleted(name: str, *allowed: str) -> Operation:
    # it is in use: who may hears that, and nothing is deleted
    return Operation(
        f"delete exchange {name}", lambda channel: channel.exchange_delete(name, if_unused=True), _may(*allowed)
    )


def queue_deleted(name: str, *allowed: str) -> Operation:
    def declare_again(channel: Any) -> None:
        tables = (topology.shared((0.2, 0.4, 0.6, 0.8, 1.0), 1_000_000), *DEPARTMENTS.values())
        (queue,) = (queue for table in tables for queue in table.queues if queue.name == name)
        channel.queue_declare(name, durable=True, arguments=dict(queue.arguments))
        for binding in (binding for table in tables for binding in table.bindings if binding.queue == name):
            channel.queue_bind(name, binding.exchange, binding.routing_key)

    return Operation(f"delete queue {name}", lambda channel: channel.queue_delete(name), _may(*allowed), declare_again)


def _arguments(department: str, queue: str) -> dict[str, Any]:
    return dict(next(q.arguments for q in DEPARTMENTS[department].queues if q.name == queue))


def _publishing_and_consuming() -> Iterator[Operation]:
    yield published("events", "order.created.north", RELAY)
    yield published("events", "order.cancelled.north", RELAY)
    yield published("events", "order.progressed.printer", PRINTER)
    yield published("events", "order.progressed.marketing")
    yield published("events", "order.progressed.orders")
    yield published("events", "department.joined.printer", PRINTER)
    yield published("events", "department.joined.orders", TRACKER)
    yield published("events", "department.joined.marketing")
    yield published("events", "department.left.printer", OPERATOR)
    yield published("retry.1s", "printer", PRINTER)
    yield published("retry.1s", "orders", TRACKER)
    yield published("retry.1s", "marketing")
    yield published("dead", "printer", PRINTER)
    yield published("dead", "orders", TRACKER)
    yield published("dead", "marketing")
    yield published("departments", "marketing", TOPOLOGY, OPERATOR)
    yield published("unclaimed", "marketing", TOPOLOGY)
    yield published("archive", "order.created.north", TOPOLOGY)
    yield published("", "printer")
    yield published("", "marketing")
    yield consumed("printer", PRINTER)
    yield consumed("printer.dead", PRINTER, OPERATOR)
    yield consumed("marketing")
    yield consumed("marketing.dead", OPERATOR)
    yield consumed("orders", TRACKER)
    yield consumed("orders.dead", TRACKER, OPERATOR)
    yield consumed("retry.1h", TOPOLOGY)
    yield consumed("unclaimed", TOPOLOGY, OPERATOR)
    yield consumed("events.archive", OPERATOR)
    yield purged("printer", PRINTER)
    yield purged("marketing")
    yield purged("marketing.dead", OPERATOR)
    yield purged("retry.1m", TOPOLOGY)


def _binding_and_declaring() -> Iterator[Operation]:
    yield bound("printer", "events", "order.created.*", PRINTER, OPERATOR)
    yield bound("printer", "events", "#", OPERATOR)
    yield bound("printer", "events", "*.created.*", OPERATOR)
    yield bound("printer", "events", "department.joined.*", OPERATOR)
    yield bound("marketing", "events", "order.created.*", OPERATOR)
    yield bound("orders", "events", "order.progressed.*", TRACKER, OPERATOR)
    yield bound("orders", "events", "order.created.*", OPERATOR)
    yield bound("printer.dead", "dead", "printer", PRINTER)
    yield bound("printer.dead", "dead", "marketing")
    yield bound("printer", "retry.1s", "#")
    yield bound("printer", "archive", "")
    yield bound("printer", "unclaimed", "", OPERATOR)
    yield bound("printer", "departments", "marketing", PRINTER, OPERATOR)
    yield exchange_bound("events", "dead", "marketing")
    yield exchange_bound("dead", "departments", "marketing", PRINTER, TRACKER)
    yield unbound("printer", "events", "order.created.*", PRINTER, OPERATOR)
    yield unbound("printer", "events", "order.retired.*", PRINTER, OPERATOR, stands=False)
    yield unbound("printer", "events", "customer.moved.*", OPERATOR, stands=False)
    yield unbound("marketing", "events", "order.created.*", OPERATOR)
    yield unbound("marketing", "departments", "marketing", OPERATOR)
    yield unbound("archive.feed", "events", "#", TOPOLOGY)
    yield unbound("retry.1s", "retry.1s", "#", TOPOLOGY)
    yield queue_declared("printer", _arguments(PRINTER, "printer"), "printer", PRINTER, OPERATOR)
    yield queue_declared("printer.dead", _arguments(PRINTER, "printer.dead"), "printer.dead", PRINTER, OPERATOR)
    yield queue_declared("marketing", _arguments("marketing", "marketing"), "marketing", OPERATOR)
    yield queue_declared("new", {"x-queue-type": "quorum"}, "new", OPERATOR)
    yield queue_declared("a.new.one", {"x-queue-type": "quorum"}, "a.new.one")
    yield queue_declared("bus.lock.printer.dead", {"x-queue-type": "classic"}, "bus.lock.printer.dead", OPERATOR)
    yield exchange_declared("events", TOPOLOGY)
    yield exchange_declared("dead", TOPOLOGY)
    yield exchange_declared("new", OPERATOR)
    yield exchange_declared("a.new.one")
    yield queue_deleted("printer", PRINTER, OPERATOR)
    yield queue_deleted("marketing", OPERATOR)
    yield queue_deleted("marketing.dead", OPERATOR)
    yield queue_deleted("retry.1s", TOPOLOGY)
    yield queue_deleted("unclaimed", TOPOLOGY)
    yield exchange_deleted("events", TOPOLOGY)
    yield exchange_deleted("dead", TOPOLOGY)


OPERATIONS = (*_publishing_and_consuming(), *_binding_and_declaring())


def table() -> list[str]:
    """The operations as a table in Markdown, for docs/operations.md."""
    head = ["operation", *(f"`{user}`" for user in USERS)]
    rows = [[o.what, *("yes" if user in o.allowed else "" for user in USERS)] for o in OPERATIONS]
    return [f"| {' | '.join(row)} |".replace("|  ", "| ") for row in (head, ["---"] * len(head), *rows)]
