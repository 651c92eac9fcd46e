"""One message's path through a department, as named steps."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from eventbus import topology
from eventbus.contract import BusHeaders, Event, UndecodableError, decode, routing_key_of
from eventbus.contract.routing import event_type
from eventbus.department._tolerant import UNREADABLE
from eventbus.department.messages import Cause, cause_of
from eventbus.department.session import Session


@dataclass(eq=False)
class Delivery:
    """A message that the broker has delivered and that is not settled yet."""

    session: Session
    tag: int
    body: bytes
    properties: dict[str, Any]
    exchange: str
    routing_key: str
    """The original one, as far as it is known."""
    headers: BusHeaders
    event: Event[Any] | None = None
    probe: bool = False
    started_at: float = field(default_factory=monotonic)
    settled: bool = False
    redelivered: bool = False

    @classmethod
    def arrived(cls, session: Session, message: Any) -> "Delivery":
        """The delivery in an amqp message. Never raises: headers are untrusted."""
        exchange = message.delivery_info["exchange"]
        key = message.delivery_info["routing_key"]
        headers = BusHeaders.read(message.properties.get("application_headers"))
        returned = exchange == topology.DEPARTMENTS
        if not returned:  # only what came back through `departments` has a history here
            headers = BusHeaders(replay=headers.replay)
        return cls(
            session=session,
            tag=message.delivery_tag,
            body=message.body if isinstance(message.body, bytes) else message.body.encode(),
            properties=dict(message.properties),
            exchange=exchange,
            routing_key=headers.routing_key or key if returned else key,
            headers=headers,
            redelivered=bool(message.delivery_info["redelivered"]),
        )

    @property
    def times_delivered(self) -> int:
        """How often the broker says it was delivered before without being settled."""
        count = (self.properties.get("application_headers") or {}).get("x-delivery-count")
        return int(count) if self.redelivered and isinstance(count, int) else 0  # else it is the publisher's own

    @property
    def crashes(self) -> int:
        """How often workers have died with it in hand, or have lost their connection."""
        return self.headers.crashes + self.times_delivered

    @property
    def event_id(self) -> str | None:
        """For logs: the event's id, or what the message's properties say."""
        return self.event.id if self.event else self.properties.get("message_id")

    def decode(self) -> Event[Any]:
        """The event. Also settles which key it was published under first.

        Raises:
            UndecodableError: the message is no event.
        """
        if UNREADABLE in self.properties:
            raise UndecodableError("its AMQP properties cannot be read")
        content_type = self.properties.get("content_type")
        if self.exchange != topology.DEPARTMENTS:
            self.event = decode(self.body, content_type, self.routing_key)
            return self.event
        # the header with the original key is untrusted: what contradicts the event counts as absent
        self.event = decode(self.body, content_type, None)
        known = routing_key_of(self.event)
        claimed = self.headers.routing_key
        if claimed is None or event_type(claimed) != self.event.type or known not in (claimed, self.event.type):
            self.routing_key = known
        return self.event

    def cause(self) -> Cause | None:
        """What a report on this delivery answers, or None where there is nothing to report on."""
        if self.event is None:
            try:
                self.decode()
            except UndecodableError:
                return None
        assert self.event is not None
        return cause_of(self.event)

    def seconds(self) -> float:
        """How long it has been in our hands."""
        return round(monotonic() - self.started_at, 4)


def now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)
