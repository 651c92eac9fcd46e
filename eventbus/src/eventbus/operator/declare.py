"""Declaring the topology with pika."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from eventbus import mismatch
from eventbus.operator.errors import MismatchError, OperatorError, RefusedError, UnreachableError
from eventbus.topology import Binding, Exchange, Queue, Topology

NOT_FOUND, ACCESS_REFUSED, PRECONDITION_FAILED = 404, 403, 406

Happened = Literal["declared", "stands"]


@dataclass(frozen=True, slots=True)
class Step:
    """What was done about one object."""

    object: Exchange | Queue | Binding
    happened: Happened


def ensure(connection: pika.BlockingConnection, topology: Topology) -> list[Step]:
    """Exchanges and queues of the topology stand: asserted passively, declared with their bindings where missing.

    For services, which may write to shared objects but not configure them. A passive declaration compares no
    arguments: `bus topology check` does. Where one is missing everything is declared, which completes what another
    process left half done: the exchange that `declare` makes last stands only when all the rest does.

    Raises:
        RefusedError: an object is missing and the user may not declare it.
        MismatchError: something is missing, and something else stands with other arguments.
        UnreachableError: the connection broke.
    """
    missing = [item for item in _named(topology) if not _stands(connection, item)]
    if not missing:
        return [Step(item, "stands") for item in topology]
    try:
        return declare(connection, topology)
    except RefusedError as error:
        names = ", ".join(" ".join(described(item)[:2]) for item in missing)
        raise RefusedError(
            f"missing: {names}; this user may not declare what all share: run bus topology declare"
        ) from error


def declare(connection: pika.BlockingConnection, topology: Topology) -> list[Step]:
    """Everything of the topology stands exactly as the table says: each object is declared, arguments compared.

    For operators: needs the right to configure. Declaring what stands changes nothing. Errors as for `ensure`;
    a mismatch is raised before anything after that object is declared.
    """
    stood = {(type(item), item.name) for item in _named(topology) if _stands(connection, item)}
    with _Channel(connection) as channel:
        for item in topology.in_declaring_order():
            channel.declare(item)
    return [Step(item, "stands" if _stood(item, stood) else "declared") for item in topology]


def _named(topology: Topology) -> list[Exchange | Queue]:
    return [*topology.exchanges, *topology.queues]


def exists(connection: pika.BlockingConnection, item: Exchange | Queue) -> bool:
    """Whether an object of that name stands, whatever its arguments."""
    return _stands(connection, item)


def described(item: Exchange | Queue | Binding) -> tuple[str, str, str]:
    """Kind, name and what else the table says of it."""
    if isinstance(item, Exchange):
        return "exchange", item.name, " ".join([item.type, *_words(item.arguments)])
    if isinstance(item, Queue):
        return "queue", item.name, " ".join(_words(item.arguments))
    return "binding", item.queue, f"to {item.exchange} by {item.routing_key!r}"


def _words(arguments: object) -> Iterator[str]:
    assert hasattr(arguments, "items")
    yield from (f"{name.removeprefix('x-')}={value}" for name, value in arguments.items())


def _stood(item: Exchange | Queue | Binding, stood: set[tuple[type, str]]) -> bool:
    if isinstance(item, Binding):  # AMQP cannot ask for bindings: one counts as new where an end of it is
        return {(Exchange, item.exchange), (Queue, item.queue)} <= stood
    return (type(item), item.name) in stood


def _stands(connection: pika.BlockingConnection, item: Exchange | Queue) -> bool:
    with _Channel(connection) as channel:  # the broker closes a channel on which something was missing
        return channel.stands(item)


class _Channel:
    """One channel that turns the broker's refusals into errors for a person."""

    def __init__(self, connection: pika.BlockingConnection) -> None:
        self._channel = connection.channel()

    def __enter__(self) -> "_Channel":
        return self

    def __exit__(self, *_: object) -> None:
        if self._channel.is_open:
            self._channel.close()

    def stands(self, item: Exchange | Queue) -> bool:
        try:
            if isinstance(item, Exchange):
                self._channel.exchange_declare(item.name, passive=True)
            else:
                self._channel.queue_declare(item.name, passive=True)
        except ChannelClosedByBroker as error:
            if error.reply_code == NOT_FOUND:
                return False
            raise _refusal(item, error) from error
        except AMQPError as error:
            raise UnreachableError(f"the connection broke: {error or type(error).__name__}") from error
        return True

    def declare(self, item: Exchange | Queue | Binding) -> None:
        try:
            if isinstance(item, Exchange):
                self._channel.exchange_declare(item.name, item.type, durable=True, arguments=dict(item.arguments))
            elif isinstance(item, Queue):
                self._channel.queue_declare(item.name, durable=True, arguments=dict(item.arguments))
            else:
                self._channel.queue_bind(item.queue, item.exchange, item.routing_key)
        except ChannelClosedByBroker as error:
            raise _refusal(item, error) from error
        except AMQPError as error:
            raise UnreachableError(f"the connection broke: {error or type(error).__name__}") from error


def _refusal(item: Exchange | Queue | Binding, error: ChannelClosedByBroker) -> OperatorError:
    kind, name, _ = described(item)
    if error.reply_code == PRECONDITION_FAILED:
        return MismatchError(mismatch.parsed(kind, name, error.reply_text))
    if error.reply_code == ACCESS_REFUSED:
        return RefusedError(f"{kind} {name}: is missing, and this user may not declare it: {error.reply_text}")
    return RefusedError(f"{kind} {name}: {error.reply_text}")
