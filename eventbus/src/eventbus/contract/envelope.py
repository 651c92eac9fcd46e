"""CloudEvents 1.0 in structured JSON mode: what stands in the body of a message."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Generic, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError
from pydantic_core import to_json

from eventbus.contract import identity
from eventbus.contract._text import check_text, parse_rfc3339, rfc3339
from eventbus.contract.department import DepartmentJoined, DepartmentLeft
from eventbus.contract.order import OrderCreated, OrderProgressed
from eventbus.contract.routing import event_type, qualifier

CONTENT_TYPE = "application/cloudevents+json"
ACCEPTED_CONTENT_TYPES = (CONTENT_TYPE, "application/json")
ORDERS_SOURCE = "/orders"
BODY_BYTES_MAX = 1_048_576
"""A reader parses no more: a body of tens of megabytes would hold up all other events of its process."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""W3C Trace Context, section 3.2."""
SEQUENCE_OF_CREATED = "0001"
ID_BYTES_MAX = 255
"""An event's id is its message's `message_id`, which AMQP 0-9-1 writes as a short string."""

DATA_MODELS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        "order.created": OrderCreated,
        "order.progressed": OrderProgressed,
        "department.joined": DepartmentJoined,
        "department.left": DepartmentLeft,
    }
)
"""The data of each event type of the contract. Data of other types is a plain mapping."""

QUALIFYING_FIELD = {
    "order.created": "region",
    "order.progressed": "department",
    "department.joined": "department",
    "department.left": "department",
}
"""The field of the data that the routing key's third word must equal."""

Data_co = TypeVar("Data_co", covariant=True)
_Text = Annotated[StrictStr, Field(min_length=1), AfterValidator(check_text)]


class UndecodableError(ValueError):
    """A message that is no event of this contract. The text is one line and holds no value of the message."""


class Envelope(BaseModel):
    """The attributes of an event as they stand in its JSON object. Unknown attributes are ignored."""

    model_config = ConfigDict(extra="ignore")

    specversion: Annotated[StrictStr, Field(pattern=r"^1\.[0-9]+$")]
    id: Annotated[_Text, Field(max_length=ID_BYTES_MAX)]
    source: _Text
    type: _Text
    subject: _Text = Field(description="order number; of an announcement the department's name")
    time: Any = Field(default=None, json_schema_extra={"type": "string", "format": "date-time"})
    datacontenttype: Any = Field(default=None, json_schema_extra={"const": "application/json"})
    sequence: Any = Field(
        default=None,
        description="only on events of the orders service: position in this order's own history",
        json_schema_extra={"type": "string", "pattern": r"^[0-9]{4,}$"},
    )
    traceparent: Any = Field(default=None, description="W3C trace context", json_schema_extra={"type": "string"})
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event(Generic[Data_co]):
    """One event, decoded. `data` is a model of `DATA_MODELS`, or a mapping for types that those do not name."""

    id: str
    source: str
    type: str
    subject: str
    data: Data_co
    time: datetime | None = None
    sequence: str | None = None
    traceparent: str | None = None

    def encode(self) -> bytes:
        """The body of a message, UTF-8."""
        attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "datacontenttype": "application/json",
        }
        if self.time is not None:
            attributes["time"] = rfc3339(self.time)
        if self.sequence is not None:
            attributes["sequence"] = self.sequence
        if self.traceparent is not None:
            attributes["traceparent"] = self.traceparent
        data = self.data
        attributes["data"] = data.model_dump(mode="json", exclude_none=True) if isinstance(data, BaseModel) else data
        return to_json(attributes)


def order_created(order: OrderCreated, traceparent: str | None = None) -> Event[OrderCreated]:
    """The event of an accepted order. Its routing key is `order.created.<order.region>`."""
    return Event(
        id=identity.order_event_id(order.order_number, SEQUENCE_OF_CREATED),
        source=ORDERS_SOURCE,
        type="order.created",
        subject=order.order_number,
        time=order.created_at,
        sequence=SEQUENCE_OF_CREATED,
        traceparent=traceparent,
        data=order,
    )


def order_progressed(
    progress: OrderProgressed, time: datetime, traceparent: str | None = None
) -> Event[OrderProgressed]:
    """A department's report. Its routing key is `order.progressed.<progress.department>`.

    Raises ValueError without a `cause_id`, from which its own id is derived.
    """
    if progress.cause_id is None:
        raise ValueError("a report's id is derived from its cause: cause_id is missing")
    return Event(
        id=identity.result_id(progress.cause_id, progress.department, progress.state),
        source=f"/departments/{progress.department}",
        type="order.progressed",
        subject=progress.order_number,
        time=time,
        traceparent=traceparent,
        data=progress,
    )


Announcement = TypeVar("Announcement", DepartmentJoined, DepartmentLeft)


def announcement(data: Announcement, time: datetime) -> Event[Announcement]:
    """A department's announcement. Its routing key is `department.<joined|left>.<data.department>`."""
    kind: Literal["department.joined", "department.left"] = (
        "department.joined" if isinstance(data, DepartmentJoined) else "department.left"
    )
    return Event(
        id=identity.announcement_id(data.department, kind, rfc3339(time)),
        source=f"/departments/{data.department}",
        type=kind,
        subject=data.department,
        time=time,
        data=data,
    )


def routing_key_of(event: Event[Any]) -> str:
    """The routing key under which this event was published first, as far as the event itself tells."""
    field = QUALIFYING_FIELD.get(event.type)
    return f"{event.type}.{getattr(event.data, field)}" if field else event.type


def decode(body: bytes, content_type: str | None, routing_key: str | None) -> Event[Any]:
    """The event in a message.

    Args:
        body: the message's bytes.
        content_type: its AMQP property; None is taken as JSON.
        routing_key: the original routing key, which the event's type, and its region or department, must equal;
            None where it is not known (a delivery through `departments`).

    Raises:
        UndecodableError: with the reason for which the message is parked.
    """
    if len(body) > BODY_BYTES_MAX:
        raise UndecodableError(f"body is larger than {BODY_BYTES_MAX} bytes")
    _check_content_type(content_type)
    envelope = _validated(Envelope, _parse(body), "")
    if routing_key is not None and envelope.type != event_type(routing_key):
        raise UndecodableError("type differs from the first two words of the routing key")
    data: Any = envelope.data
    if model := DATA_MODELS.get(envelope.type):
        data = _validated(model, data, "data.")
        field = QUALIFYING_FIELD[envelope.type]
        if routing_key is not None and getattr(data, field) != qualifier(routing_key):
            raise UndecodableError(f"data.{field} differs from the third word of the routing key")
    return Event(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        subject=envelope.subject,
        data=data,
        time=_optional_time(envelope.time),
        sequence=envelope.sequence if isinstance(envelope.sequence, str) else None,
        traceparent=_optional_trace(envelope.traceparent),
    )


def _check_content_type(content_type: str | None) -> None:
    if content_type is None or content_type == "":
        return
    if content_type.partition(";")[0].strip().lower() not in ACCEPTED_CONTENT_TYPES:
        raise UndecodableError("content type is neither application/cloudevents+json nor application/json")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise UndecodableError("body is not UTF-8") from None
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise UndecodableError("body is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise UndecodableError(f"body is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError as error:  # an integer of thousands of digits, NaN or Infinity
        raise UndecodableError(f"body is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise UndecodableError("body is not one JSON object")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


Model = TypeVar("Model", bound=BaseModel)


def _validated(model: type[Model], value: dict[str, Any], prefix: str) -> Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part != "function-after")
        message = first["msg"].removeprefix("Value error, ")
        raise UndecodableError(f"{prefix}{where}: {message}") from None


def _optional_trace(value: object) -> str | None:
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def _optional_time(value: object) -> datetime | None:
    try:
        return parse_rfc3339(value)
    except ValueError:
        return None
