"""Who may do what on the broker: least privilege as a table, without I/O. `bus users` puts it on a broker.

RabbitMQ compares three patterns with the names of exchanges and queues (`configure`: declare and delete; `write`:
publish to an exchange, bind a queue, dead-letter to an exchange; `read`: consume, purge, bind from an exchange), and
for a topic exchange two more with the routing key or binding key. A topic exchange without a row lets **every** key
pass, so each one that a user may write to or read from has a row here. Asserting something passively needs no right.

The gateway speaks to no broker and has no user. Users that are no department's have a hyphen in their name, which no
department's can have.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from eventbus.contract.routing import RESERVED_DEPARTMENT, TRACKER_PATTERNS, is_department
from eventbus.topology import (
    ARCHIVE_STREAM,
    DEAD,
    DEPARTMENTS,
    EVENTS,
    TIER_NAMES,
    UNCLAIMED,
    shared,
    shared_names,
)

RELAY = "orders-relay"
TOPOLOGY = "bus-topology"
OPERATOR = "bus-operator"

NOTHING = "^$"
NOUNS = ("order",)
"""What departments hear by default: the first words of their patterns."""

_NOUN = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class TopicRight:
    """Which keys may be published to a topic exchange (`write`), and bound from it (`read`)."""

    exchange: str
    write: str
    read: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What one user may, in one virtual host. `tags` are RabbitMQ's, for its management API."""

    configure: str
    write: str
    read: str
    topic: tuple[TopicRight, ...]
    tags: tuple[str, ...] = ()


def of(user: str, nouns: Iterable[str] = NOUNS) -> Rights:
    """The rights of that user: the relay's, the topology's, an operator's, the tracker's or a department's.

    Args:
        user: `RELAY`, `TOPOLOGY`, `OPERATOR`, or the department's name.
        nouns: a department's, see `department`.

    Raises:
        ValueError: there is no such user, or a noun is none.
    """
    others = {RELAY: relay, TOPOLOGY: topology, OPERATOR: operator, RESERVED_DEPARTMENT: tracker}
    return others[user]() if user in others else department(user, nouns)


def department(name: str, nouns: Iterable[str] = NOUNS) -> Rights:
    """A department declares and consumes its own queues, reports and announces itself alone.

    Args:
        name: the department's, which is its queue's.
        nouns: first words of the events that it hears. They are allowed whole: to unbind a pattern that it gave up, a
            department needs the right to read it.

    Raises:
        ValueError: no department can have that name, or a noun is none.
    """
    if name == RESERVED_DEPARTMENT or not is_department(name) or name in _SHARED_NAMES:
        taken = ", ".join(sorted({*_SHARED_NAMES, RESERVED_DEPARTMENT}))
        expected = f"{RELAY}, {TOPOLOGY}, {OPERATOR}, {RESERVED_DEPARTMENT}, or a department's name (a-z, 0-9, _)"
        raise ValueError(f"expected {expected}, but none of {taken} for a department, got: {name!r}")
    heard = sorted(set(nouns))
    if not heard or not all(_NOUN.fullmatch(noun) for noun in heard):
        raise ValueError(f"expected nouns such as order, got: {', '.join(map(repr, heard)) or 'none'}")
    return _department(
        name,
        says=(r"order\.progressed", r"department\.joined"),
        hears=rf"^{_either(heard)}\.",
    )


def tracker() -> Rights:
    """The tracker is the department `orders`: it hears what departments report, and reports nothing."""
    prefixes = [re.escape(pattern.removesuffix(".*")) for pattern in TRACKER_PATTERNS]
    return _department(RESERVED_DEPARTMENT, says=(r"department\.joined",), hears=rf"^{_either(prefixes)}\.")


def relay() -> Rights:
    """The relay publishes what happened to orders, and nothing else."""
    return Rights(
        configure=NOTHING,
        write=f"^{EVENTS}$",
        read=NOTHING,
        topic=(TopicRight(EVENTS, write=r"^order\.(created|cancelled)\.", read=NOTHING),),
    )


def topology() -> Rights:
    """Declares what all share (`bus topology declare`), and hears and says nothing. Derived from the table of objects.

    To declare a queue or exchange that hands messages on (a retry tier to `departments`) RabbitMQ demands the right to
    write to the target.
    """
    objects = shared()
    dead_lettering = {queue.name: str(queue.arguments[_DLX]) for queue in objects.queues if _DLX in queue.arguments}
    alternate = {e.name: str(e.arguments[_ALTERNATE]) for e in objects.exchanges if _ALTERNATE in e.arguments}
    write = {binding.queue for binding in objects.bindings} | {*dead_lettering.values(), *alternate.values()}
    read = {binding.exchange for binding in objects.bindings} | {*dead_lettering, *alternate}
    topics = [e.name for e in objects.exchanges if e.type == "topic" and e.name in write | read]
    return Rights(
        configure=_one_of(shared_names()),
        write=_one_of(write),
        read=_one_of(read),
        topic=tuple(TopicRight(name, write=NOTHING, read="^#$") for name in topics),
    )


def operator() -> Rights:
    """What `bus` needs to look, redrive, drop, unbind and take a department off the bus; not to declare what all share.

    The tag `monitoring` shows everybody's connections, which `bus leave` asks for.
    """
    a_department = rf"(?!{_either(sorted(_SHARED_NAMES))}$)[a-z][a-z0-9_]{{0,31}}"
    return Rights(
        configure=rf"^(bus\.lock\..+|{a_department}(\.dead)?)$",
        write=rf"^({EVENTS}|{DEPARTMENTS}|{a_department})$",
        read=rf"^({EVENTS}|{DEPARTMENTS}|{UNCLAIMED}|{re.escape(ARCHIVE_STREAM)}|[a-z][a-z0-9_]{{0,31}}\.dead)$",
        topic=(TopicRight(EVENTS, write=r"^department\.left\.", read=".*"),),
        tags=("monitoring",),
    )


def _department(name: str, *, says: tuple[str, ...], hears: str) -> Rights:
    own = rf"{name}(\.dead)?"
    tiers = rf"retry\.{_either([tier.removeprefix('retry.') for tier in TIER_NAMES])}"
    return Rights(
        configure=f"^{own}$",
        write=f"^({own}|{EVENTS}|{DEAD}|{tiers})$",
        read=f"^({own}|{EVENTS}|{DEPARTMENTS}|{DEAD})$",
        topic=(
            TopicRight(EVENTS, write=rf"^{_either(says)}\.{name}$", read=hears),
            TopicRight(DEAD, write=f"^{name}$", read=f"^{name}$"),
            *(TopicRight(tier, write=f"^{name}$", read=NOTHING) for tier in TIER_NAMES),
        ),
    )


def _one_of(names: Iterable[str]) -> str:
    return f"^{_either([re.escape(name) for name in sorted(names)])}$"


def _either(patterns: Iterable[str]) -> str:
    several = list(patterns)
    return several[0] if len(several) == 1 else f"({'|'.join(several)})"


_DLX, _ALTERNATE = "x-dead-letter-exchange", "alternate-exchange"
_SHARED_NAMES = frozenset(filter(is_department, shared_names()))
