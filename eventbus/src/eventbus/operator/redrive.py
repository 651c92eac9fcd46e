"""What is done to messages that wait for a person: sent to their department again, or dropped."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from eventbus.contract.headers import redriven
from eventbus.operator import copies
from eventbus.operator.errors import OperatorError, UnreachableError
from eventbus.operator.management import Management
from eventbus.operator.parked import Filter, Hold, Parked, held
from eventbus.topology import DEPARTMENTS


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of one message. `left`: it stays where it was, for the reason given."""

    message: Parked
    happened: Literal["redriven", "would redrive", "left"]
    why: str = ""


def redrive(
    connection: pika.BlockingConnection,
    management: Management,
    queue: str,
    wanted: Filter,
    *,
    dry_run: bool = False,
    on_unseen: Callable[[int], None] | None = None,
) -> Iterator[Redriven]:
    """Send what the filter admits of a snapshot to its department only, each confirmed and then removed.

    Exhaust the iterator: until then the queue is locked and its messages are held.

    Args:
        dry_run: only say what would be done.
        on_unseen: called when there are more messages than one command takes, with how many more.

    Raises:
        BusyError, RefusedError: as `parked.held`.
        OperatorError: the broker refused a message. It and the rest stay.
        UnreachableError: the connection broke. What was not removed stays; one message may be in both places.
    """
    with held(connection, management, queue) as hold:
        if hold.unseen and on_unseen:
            on_unseen(hold.unseen)
        chosen = [message for message in hold.messages if wanted.admits(message)]
        reachable = _reachable(management)
        publisher = connection.channel()
        publisher.confirm_delivery()
        for message in chosen:
            if message.department not in reachable:
                yield Redriven(message, "left", f"no department {message.department} is bound to {DEPARTMENTS}")
            elif dry_run:
                yield Redriven(message, "would redrive")
            else:
                _send(publisher, message)
                hold.settle(message)
                yield Redriven(message, "redriven")
        publisher.close()


@dataclass(frozen=True, slots=True)
class Look:
    """What the filter admits, and how many messages more than one command takes are in the queue."""

    messages: list[Parked]
    unseen: int


def look(connection: pika.BlockingConnection, management: Management, queue: str, wanted: Filter) -> Look:
    """What the filter admits of the queue, left there."""
    with held(connection, management, queue) as hold:
        return Look([message for message in hold.messages if wanted.admits(message)], hold.unseen)


def drop(
    connection: pika.BlockingConnection,
    management: Management,
    queue: str,
    chosen: Sequence[Parked],
    path: Path,
) -> list[Parked]:
    """Remove those messages that `look` gave, after writing them to a new file that only its owner can read.

    Returns what was dropped: a message that another command took meanwhile is not.

    Raises:
        RefusedError: the file cannot be written; nothing is dropped.
        BusyError, UnreachableError: as `redrive`.
    """
    with held(connection, management, queue) as hold:
        dropped = _same(hold, chosen)
        copies.write(path, queue, dropped)  # on the disk before the broker may forget them
        for message in dropped:
            hold.settle(message)
    return dropped


def _same(hold: Hold, chosen: Sequence[Parked]) -> list[Parked]:
    wanted = Counter(message.fingerprint for message in chosen)
    found = []
    for message in hold.messages:
        if wanted[message.fingerprint] > 0:
            wanted[message.fingerprint] -= 1
            found.append(message)
    return found


def _reachable(management: Management) -> set[str]:
    """Departments that get what is sent to `departments` by their name. Others would end as unclaimed."""
    return {
        binding["routing_key"]
        for binding in management.bindings()
        if binding["source"] == DEPARTMENTS and binding["destination"] == binding["routing_key"]
    }


def _send(publisher: Any, message: Parked) -> None:
    old = message.properties
    properties = pika.BasicProperties(
        content_type=old.content_type,
        content_encoding=old.content_encoding,
        headers=redriven(old.headers, message.routing_key),
        delivery_mode=2,
        priority=old.priority,
        correlation_id=old.correlation_id,
        reply_to=old.reply_to,
        message_id=old.message_id,
        timestamp=old.timestamp,
        type=old.type,
        app_id=old.app_id,
    )  # without user_id and expiration: the one would refuse it, the other delete it
    try:
        publisher.basic_publish(DEPARTMENTS, message.department, message.body, properties, mandatory=True)
    except (NackError, UnroutableError) as error:
        raise OperatorError(f"the broker refused a message for {message.department}: it and the rest stay") from error
    except AMQPError as error:
        raise UnreachableError(f"the connection broke: {error or type(error).__name__}") from error
