"""How the `bus` command writes: one aligned line for each thing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eventbus.operator import copies
from eventbus.operator.parked import Parked


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Aligned lines under a heading; numbers to the right. Nothing for no rows."""
    rows = [list(row) for row in rows]
    if not rows:
        return []
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [all(isinstance(row[i], int) or row[i] is None for row in rows) for i in range(len(head))]
    return [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]


def parked_table(messages: Sequence[Parked]) -> list[str]:
    """One line for each parked message. Holds no name of a customer."""
    return table(
        ("department", "parked at", "class", "attempt", "order", "routing key", "reason"),
        [
            (
                m.department,
                m.parked_at,
                m.reason_class,
                m.bus.attempt or None,
                m.order_number,
                m.routing_key,
                _short(m.reason),
            )
            for m in messages
        ],
    )


def parked_in_full(message: Parked) -> list[str]:
    """Everything of one message, body included: that holds a customer's name."""
    p = message.properties
    known = {
        "department": message.department,
        "order": message.order_number,
        "message id": p.message_id,
        "type": p.type,
        "from": p.app_id,
        "content type": p.content_type,
        "routing key": message.routing_key,
        "class": message.reason_class,
        "reason": message.reason,
        "attempt": message.bus.attempt or None,
        "first failed at": message.bus.first_failed_at,
        "parked at": message.parked_at,
    }
    lines = [f"{name:<16} {_cell(value)}" for name, value in known.items()]
    others = {k: v for k, v in copies.plain(message.headers).items() if not k.startswith(("bus-", "x-"))}
    lines += [f"{'header ' + k:<16} {_one_line(v)}" for k, v in sorted(others.items())]
    return [*lines, f"{'body':<16} {len(message.body)} bytes", *(f"  {line}" for line in _body(message.body))]


def plural(count: int, what: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _body(body: bytes) -> list[str]:
    try:
        document = json.dumps(json.loads(body), ensure_ascii=False, indent=2)
        return [_one_line(line) for line in document.split("\n")]  # JSON itself escapes line feeds
    except (ValueError, RecursionError):
        return [repr(body)[:2000]]


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _one_line(value)


def _one_line(value: Any) -> str:
    text = (
        value
        if isinstance(value, str)
        else json.dumps(copies.plain(value), ensure_ascii=False)
        if isinstance(value, Mapping)
        else str(value)
    )
    # a header may hold anything: no control character of it reaches the terminal
    return "".join(c if c.isprintable() else "�" for c in text)


def _short(reason: str) -> str:
    return reason if len(reason) <= 100 else reason[:99] + "…"
