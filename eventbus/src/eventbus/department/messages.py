"""Messages that a department publishes: reports, announcements, and received events on their way through the tiers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from amqp.serialization import dumps
from pydantic import ValidationError

from eventbus import topology
from eventbus.contract import (
    CONTENT_TYPE,
    BusHeaders,
    DepartmentJoined,
    Event,
    OrderProgressed,
    announcement,
    order_progressed,
)
from eventbus.contract.headers import one_line, republished
from eventbus.contract.order import DETAIL_CHARACTERS_MAX, State

_KEPT_PROPERTIES = (
    "content_type",
    "content_encoding",
    "priority",
    "correlation_id",
    "reply_to",
    "message_id",
    "timestamp",
    "type",
    "app_id",
)
"""Not `user_id` and `expiration`, which would have the broker refuse or delete the copy."""


HEADERS_BYTES_MAX = 32_768
"""Headers must fit into one frame (131,072 bytes by default): a stranger's that leave no room for ours are dropped."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish persistently."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Mapping[str, Any]
    mandatory: bool = False
    """Whether it must reach a queue. Results need not: nobody may be listening."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The event that a report answers."""

    id: str
    type: str
    order_number: str
    traceparent: str | None = None


def cause_of(event: Event[Any]) -> Cause | None:
    """What a report on this event would answer, or None where the contract has no report: an event that is about no
    order, whose number or type a report could not hold, or that is a report itself."""
    if not event.type.startswith("order.") or event.type == "order.progressed":
        return None
    data = event.data
    number = data.get("order_number") if isinstance(data, Mapping) else getattr(data, "order_number", None)
    about = {
        "order_number": number,
        "cause_id": event.id,
        "cause_type": event.type,
        "department": "any",
        "state": "done",
    }
    try:
        report_of = OrderProgressed.model_validate(about)
    except ValidationError:
        return None
    return Cause(event.id, event.type, report_of.order_number, event.traceparent)


def report(
    department: str,
    cause: Cause,
    state: State,
    *,
    reference: str | None = None,
    detail: str | None = None,
    attempt: int | None = None,
) -> Outgoing:
    """The department's `order.progressed` on that cause."""
    progress = OrderProgressed(
        order_number=cause.order_number,
        department=department,
        state=state,
        cause_id=cause.id,
        cause_type=cause.type,
        reference=one_line(reference) if reference else None,
        detail=one_line(detail)[:DETAIL_CHARACTERS_MAX] if detail else None,
        attempt=attempt,
    )
    event = order_progressed(progress, datetime.now(UTC), cause.traceparent)
    return _event(event, f"order.progressed.{department}", department)


def joined(department: str, patterns: tuple[str, ...], version: str, remembers_since: datetime | None) -> Outgoing:
    """The department's announcement that its queue and bindings stand."""
    data = DepartmentJoined(department=department, patterns=patterns, version=version, remembers_since=remembers_since)
    return _event(announcement(data, datetime.now(UTC)), f"department.joined.{department}", department)


def _event(event: Event[Any], routing_key: str, department: str) -> Outgoing:
    assert event.time is not None
    properties = {
        "content_type": CONTENT_TYPE,
        "message_id": event.id,
        "type": event.type,
        "app_id": department,
        "timestamp": int(event.time.timestamp()),
    }
    return Outgoing(topology.EVENTS, routing_key, event.encode(), properties)


def again(
    exchange: str, department: str, body: bytes, properties: Mapping[str, Any], bus_headers: BusHeaders
) -> Outgoing:
    """A received message, unchanged but for our headers, on its way to a retry tier or to `dead`."""
    kept = {name: properties[name] for name in _KEPT_PROPERTIES if name in properties}
    headers = republished(properties.get("application_headers"), bus_headers)
    if not _fits_a_frame(headers):
        headers = replace(bus_headers, headers_dropped=True).write()
    kept["application_headers"] = headers
    return Outgoing(exchange, department, body, kept, mandatory=True)


def _fits_a_frame(headers: Mapping[str, Any]) -> bool:
    try:
        return len(dumps("F", [headers])) <= HEADERS_BYTES_MAX
    except Exception:  # noqa: BLE001 - a stranger's value that py-amqp reads but cannot write
        return False
