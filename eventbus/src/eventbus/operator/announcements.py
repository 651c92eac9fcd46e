"""The latest announcement of each department, read from the end of the archive.

A stream is read without taking anything from it. RabbitMQ before 4 cannot filter one for AMQP 0-9-1 readers, so the
last events are read whole, up to a bound; whoever announced itself before those is "not found", not "never".
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from eventbus.contract import DepartmentJoined, DepartmentLeft, UndecodableError, decode
from eventbus.operator.connection import connected
from eventbus.topology import ARCHIVE_STREAM

EVENTS_READ_MAX = 50_000
"""About five seconds (10,000 events/s measured)."""
_PREFETCH = 1000
_IDLE_S = 0.5
_DEADLINE_S = 60.0
_FAR = 2**63
_AFTER_END_S = 1.0
"""How long what is published meanwhile is followed, where the archive never rests."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What a department last said of itself."""

    department: str
    joined: bool
    time: datetime
    patterns: tuple[str, ...]
    version: str | None


@dataclass(frozen=True, slots=True)
class Announcements:
    """The latest announcement by department, and in what they were looked for."""

    latest: Mapping[str, Announced]
    events_read: int
    complete: bool
    """Whether that is everything that was ever archived."""


def read(amqp_url: str, events_max: int = EVENTS_READ_MAX) -> Announcements:
    """The announcements among the archive's last `events_max` events; nothing found when there is no archive.

    Raises:
        UnreachableError: no broker answers.
    """
    if events_max <= 0:
        return Announcements({}, events_read=0, complete=False)
    last_chunk = next(_events(amqp_url, "last"), None)
    if last_chunk is None:
        return Announcements({}, events_read=0, complete=True)
    end = last_chunk[0]
    start = max(0, end - events_max)
    latest: dict[str, Announced] = {}
    first, count = None, 0
    deadline = time.monotonic() + _DEADLINE_S
    for offset, key, content_type, body in _events(amqp_url, start):
        if offset >= end:
            deadline, end = min(deadline, time.monotonic() + _AFTER_END_S), _FAR
        if time.monotonic() > deadline:
            break
        first = offset if first is None else first
        count += 1
        found = _announced(key, content_type, body)
        if found and (found.department not in latest or latest[found.department].time <= found.time):
            latest[found.department] = found
    return Announcements(latest, events_read=count, complete=first == 0)


def _announced(key: str, content_type: str | None, body: bytes) -> Announced | None:
    if not key.startswith(("department.joined.", "department.left.")):
        return None
    try:
        event = decode(body, content_type, key)
    except UndecodableError:  # nobody's announcement: the tracker parks it
        return None
    data = event.data
    if event.time is None or not isinstance(data, DepartmentJoined | DepartmentLeft):
        return None
    joined = isinstance(data, DepartmentJoined)
    return Announced(data.department, joined, event.time, data.patterns, data.version)


def _events(amqp_url: str, offset: int | str) -> Iterator[tuple[int, str, str | None, bytes]]:
    """Offset, routing key, content type and body of each event from there on, until none comes for a while.

    On a connection of its own: what pika still holds when a consumer ends it gives back, and a stream answers that
    by closing the connection.
    """
    with connected(amqp_url) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=_PREFETCH)  # a stream over AMQP 0-9-1 demands prefetch and acknowledgements
        arguments = {"x-stream-offset": offset}
        try:
            for method, properties, body in channel.consume(
                ARCHIVE_STREAM, inactivity_timeout=_IDLE_S, arguments=arguments
            ):
                if method is None:
                    return
                if method.delivery_tag % (_PREFETCH // 2) == 0:
                    channel.basic_ack(method.delivery_tag, multiple=True)
                headers: Mapping[str, Any] = properties.headers or {}
                # the feed dead-letters into the archive with the routing key kept
                yield int(headers["x-stream-offset"]), str(method.routing_key), properties.content_type, body
        except ChannelClosedByBroker:  # there is no archive yet
            return
