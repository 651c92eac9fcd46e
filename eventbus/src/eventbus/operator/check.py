"""Comparing what the broker has with what the topology wants, over the management API."""

from collections.abc import Iterator, Mapping
from typing import Any

from eventbus import mismatch
from eventbus.contract.routing import RESERVED_DEPARTMENT, TRACKER_PATTERNS
from eventbus.operator.announcements import Announcements
from eventbus.operator.management import Management
from eventbus.topology import DEPARTMENTS, EVENTS, Binding, Exchange, Queue, Topology, department

_POLICIES_THAT_LOSE = ("max-length", "max-length-bytes", "message-ttl", "expires")
"""A length limit on one department's queue refuses everybody's publishes; the others delete messages."""


class Broker:
    """What one virtual host has, as the management API told it."""

    def __init__(self, management: Management) -> None:
        self.exchanges = {e["name"]: e for e in management.exchanges()}
        self.queues = {q["name"]: q for q in management.queues() if not q.get("exclusive")}
        bindings = management.bindings()
        self.bindings = {
            Binding(b["source"], b["destination"], b["routing_key"])
            for b in bindings
            if b["source"] and b["destination_type"] == "queue" and b["destination"] in self.queues
        }
        self.exchange_bindings = sorted(
            (b["destination"], b["routing_key"], b["source"])
            for b in bindings
            if b["source"] and b["destination_type"] == "exchange"
        )

    def departments(self) -> list[str]:
        """Names of the departments: queues that are bound to `departments` by their own name."""
        return sorted(b.queue for b in self.bindings if b.exchange == DEPARTMENTS and b.queue == b.routing_key)


def differences(broker: Broker, shared: Topology, announcements: Announcements) -> list[str]:
    """One line for each thing that is not as the table says: missing, of another kind, with another argument, stray.

    A pattern that its department did not announce is stray; a department whose announcement was not found is
    believed.
    """
    lines = list(_objects(broker, shared))
    claimed = set(shared.bindings)
    for name in broker.departments():
        patterns = patterns_claimed(broker, name, announcements)
        own = department(name, patterns)
        claimed |= set(own.bindings)
        lines += _objects(broker, own)
    ours = {exchange.name for exchange in shared.exchanges}
    for stray in sorted(broker.bindings - claimed, key=lambda b: (b.queue, b.exchange, b.routing_key)):
        if stray.exchange in ours:
            lines.append(f"binding {stray.queue}: nobody claims {stray.routing_key!r} on {stray.exchange}")
    for target, key, source in broker.exchange_bindings:  # we have none: it would bring messages under others' names
        if {target, source} & ours:
            lines.append(f"binding {target} (exchange): nobody claims {key!r} on {source}")
    return lines


def patterns_bound(broker: Broker, name: str) -> tuple[str, ...]:
    """The routing-key patterns by which that department's queue is bound to `events`."""
    return tuple(sorted(b.routing_key for b in broker.bindings if b.queue == name and b.exchange == EVENTS))


def patterns_claimed(broker: Broker, name: str, announcements: Announcements) -> tuple[str, ...]:
    """Those that it announced last; all that are bound where its announcement was not found."""
    if name == RESERVED_DEPARTMENT:
        return TRACKER_PATTERNS
    announced = announcements.latest.get(name)
    if announced is None:
        return patterns_bound(broker, name)
    return announced.patterns if announced.joined else ()


def _objects(broker: Broker, topology: Topology) -> Iterator[str]:
    for item in topology:
        if isinstance(item, Binding):
            if item not in broker.bindings and item.exchange in broker.exchanges and item.queue in broker.queues:
                yield f"binding {item.queue}: missing: {item.routing_key!r} on {item.exchange}"
        elif isinstance(item, Exchange):
            yield from _exchange(broker.exchanges.get(item.name), item)
        else:
            yield from _queue(broker.queues.get(item.name), item)


def _exchange(have: Mapping[str, Any] | None, want: Exchange) -> Iterator[str]:
    if have is None:
        yield f"exchange {want.name}: missing"
        return
    if have["type"] != want.type:
        yield mismatch.line("exchange", want.name, "type", have["type"], want.type)
    if not have["durable"]:
        yield mismatch.line("exchange", want.name, "durable", "false", "true")
    yield from _arguments("exchange", want.name, have["arguments"], want.arguments)


def _queue(have: Mapping[str, Any] | None, want: Queue) -> Iterator[str]:
    if have is None:
        yield f"queue {want.name}: missing"
        return
    yield from _arguments("queue", want.name, have["arguments"], want.arguments)
    policy = have.get("effective_policy_definition") or {}
    for name in _POLICIES_THAT_LOSE:
        if name in policy and want.arguments.get("x-queue-type") != "stream":
            yield mismatch.line("queue", want.name, f"policy {name}", policy[name], "none")


def _arguments(kind: str, name: str, have: Mapping[str, Any], want: Mapping[str, Any]) -> Iterator[str]:
    for argument in sorted(have.keys() | want.keys()):
        if have.get(argument) != want.get(argument):
            yield mismatch.line(kind, name, argument, have.get(argument, "none"), want.get(argument, "none"))
