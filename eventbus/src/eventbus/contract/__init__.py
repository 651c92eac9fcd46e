"""The wire contract: events as CloudEvents 1.0 in JSON, routing keys, derived ids, headers.

Needs pydantic and nothing else: gateway, relay and strangers import it without nameko or eventlet.
"""

from eventbus.contract._text import parse_rfc3339, rfc3339
from eventbus.contract.department import DepartmentJoined, DepartmentLeft
from eventbus.contract.envelope import (
    CONTENT_TYPE,
    Event,
    UndecodableError,
    announcement,
    decode,
    order_created,
    order_progressed,
    routing_key_of,
)
from eventbus.contract.headers import BusHeaders
from eventbus.contract.order import OrderCreated, OrderProgressed

__all__ = [
    "CONTENT_TYPE",
    "BusHeaders",
    "DepartmentJoined",
    "DepartmentLeft",
    "Event",
    "OrderCreated",
    "OrderProgressed",
    "UndecodableError",
    "announcement",
    "decode",
    "order_created",
    "order_progressed",
    "parse_rfc3339",
    "rfc3339",
    "routing_key_of",
]
