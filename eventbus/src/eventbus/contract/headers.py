"""Our AMQP headers: `bus-…`, each optional to a reader and untrusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from eventbus.contract._text import parse_rfc3339, rfc3339
from eventbus.contract.routing import ROUTING_KEY_BYTES_MAX

REASON_CHARACTERS_MAX = 500
COUNT_MAX = 1_000_000

ReasonClass = Literal["undecodable", "permanent", "exhausted", "crashed"]

_BROKER_HEADERS = ("CC", "BCC", "x-death", "x-delivery-count", "x-acquired-count")
_OUR_PREFIX = "bus-"
_BROKER_PREFIXES = ("x-first-death-", "x-last-death-")


@dataclass(frozen=True, slots=True)
class BusHeaders:
    """What a received message says of its own history. An ill-typed or forged header counts as absent."""

    attempt: int = 0
    crashes: int = 0
    """How often it was in hand when a worker died, before it was last published again."""
    routing_key: str | None = None
    reason: str | None = None
    reason_class: ReasonClass | None = None
    first_failed_at: datetime | None = None
    parked_at: datetime | None = None
    not_before: datetime | None = None
    replay: bool = False
    headers_dropped: bool = False
    """Whether a stranger's headers were left out, because they left no room for ours in a frame."""

    @classmethod
    def read(cls, headers: Mapping[str, Any] | None) -> "BusHeaders":
        """The `bus-` headers among these. Never raises."""
        headers = headers or {}
        key = headers.get("bus-routing-key")
        reason = headers.get("bus-reason")
        reason_class = headers.get("bus-reason-class")
        return cls(
            attempt=_count(headers.get("bus-attempt")),
            crashes=_count(headers.get("bus-crashes")),
            routing_key=key
            if isinstance(key, str) and 1 <= len(key.encode("utf-8", "replace")) <= ROUTING_KEY_BYTES_MAX
            else None,
            reason=one_line(reason) if isinstance(reason, str) else None,
            reason_class=reason_class if reason_class in get_args(ReasonClass) else None,
            first_failed_at=_moment(headers.get("bus-first-failed-at")),
            parked_at=_moment(headers.get("bus-parked-at")),
            not_before=_moment(headers.get("bus-not-before")),
            replay=headers.get("bus-replay") is True,
            headers_dropped=headers.get("bus-headers-dropped") is True,
        )

    def write(self) -> dict[str, Any]:
        """The headers of a message to publish; what is not known is left out."""
        written: dict[str, Any] = {}
        if self.attempt:
            written["bus-attempt"] = self.attempt
        if self.crashes:
            written["bus-crashes"] = self.crashes
        if self.routing_key is not None:
            written["bus-routing-key"] = self.routing_key
        if self.reason is not None:
            written["bus-reason"] = one_line(self.reason)
        if self.reason_class is not None:
            written["bus-reason-class"] = self.reason_class
        for name, moment in (
            ("bus-first-failed-at", self.first_failed_at),
            ("bus-parked-at", self.parked_at),
            ("bus-not-before", self.not_before),
        ):
            if moment is not None:
                written[name] = rfc3339(moment)
        if self.replay:
            written["bus-replay"] = True
        if self.headers_dropped:
            written["bus-headers-dropped"] = True
        return written


def one_line(reason: str) -> str:
    """A reason fit for headers, databases and terminals: one line of printable characters, at most 500.

    A target may say anything. A lone surrogate cannot be written as UTF-8 at all, a NUL not into PostgreSQL.
    """
    text = " ".join(reason.split())[:REASON_CHARACTERS_MAX]
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def republished(headers: Mapping[str, Any] | None, bus: BusHeaders) -> dict[str, Any]:
    """The headers of a received message, for publishing it again: theirs kept, the broker's stripped, ours replaced.

    RabbitMQ up to 3.13 silently drops what its `x-death` makes it take for a cycle; `CC` and `BCC` would send copies
    to wherever the first publisher wished.
    """
    kept = {name: value for name, value in (headers or {}).items() if not _is_replaced(name)}
    return kept | bus.write()


def redriven(headers: Mapping[str, Any] | None, routing_key: str | None) -> dict[str, Any]:
    """The headers with which a parked message goes back to its department: a fresh start."""
    kept = BusHeaders.read(headers)
    return republished(headers, BusHeaders(routing_key=kept.routing_key or routing_key, replay=kept.replay))


def _is_replaced(name: object) -> bool:
    # a name that is not UTF-8 arrives as bytes: a stranger's, kept
    return isinstance(name, str) and (name in _BROKER_HEADERS or name.startswith((*_BROKER_PREFIXES, _OUR_PREFIX)))


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= COUNT_MAX:
        return int(value)  # pika reads an integer of 64 bits as a subclass
    return 0


def _moment(value: object) -> datetime | None:
    try:
        return parse_rfc3339(value)
    except ValueError:
        return None
