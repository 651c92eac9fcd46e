"""py-amqp reads short strings and times strictly and raises in the reader: one odd message would end every connection.

Here what cannot be read is marked, and its message is parked like any other that cannot be decoded.
"""

from struct import unpack_from
from typing import Any

from amqp import serialization, spec

UNREADABLE = "unreadable"
"""Key in a message's properties: they could not be read."""


def install() -> None:
    """Make py-amqp read properties tolerantly, in this process."""
    serialization.PROPERTY_CLASSES[spec.Basic.CLASS_ID] = _properties


def tolerate_routing_keys(channel: Any) -> None:
    """Make this channel deliver messages whose routing key is not UTF-8, with replacement characters in the key."""
    dispatch = channel.dispatch_method

    def dispatch_method(method: tuple[int, int], payload: bytes, content: Any) -> Any:
        if method != spec.Basic.Deliver:
            return dispatch(method, payload, content)
        try:
            return dispatch(method, payload, content)
        except UnicodeDecodeError:
            return channel._on_basic_deliver(*_delivery(payload), content)

    channel.dispatch_method = dispatch_method


def _properties(buffer: bytes, offset: int) -> tuple[dict[str, Any], int]:
    try:
        return serialization.decode_properties_basic(buffer, offset)
    except Exception:  # noqa: BLE001 - whatever a stranger wrote there must not end the reader; the mark says so
        return {UNREADABLE: True}, len(buffer)


def _delivery(payload: bytes) -> tuple[str, int, bool, str, str]:
    """basic.deliver's fields (AMQP 0-9-1): consumer tag, delivery tag, redelivered, exchange, routing key."""
    offset = 4  # behind class and method
    tag, offset = _short_string(payload, offset)
    (number,) = unpack_from(">Q", payload, offset)
    redelivered = bool(payload[offset + 8] & 1)
    exchange, offset = _short_string(payload, offset + 9)
    key, _ = _short_string(payload, offset)
    return tag, number, redelivered, exchange, key


def _short_string(payload: bytes, offset: int) -> tuple[str, int]:
    end = offset + 1 + payload[offset]
    return bytes(payload[offset + 1 : end]).decode("utf-8", "replace"), end
