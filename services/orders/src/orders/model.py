"""Orders as this service knows them: their number, what was asked for, what was placed. No I/O but the random source.

What is on the hot path of `POST /orders` is written for speed: the event's JSON is put together by hand, and a test
holds it against the contract's own encoder, byte for byte.
"""

import hashlib
import os
import re
from datetime import UTC, datetime
from json.encoder import encode_basestring  # the C function: quotes and escapes one string
from typing import NamedTuple

from eventbus.contract import Event, OrderCreated, order_created, parse_rfc3339
from eventbus.contract.envelope import ORDERS_SOURCE, SEQUENCE_OF_CREATED
from eventbus.contract.identity import order_event_id
from eventbus.contract.order import ORDER_NUMBER_CHARACTERS_MAX

NUMBER_CHARACTERS = 12
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Base 32 without I, L, O and U (crockford.com/base32.html): 12 characters are 60 random bits."""
ORDER_CREATED = "order.created"

_PAIRS = [first + second for first in CROCKFORD for second in CROCKFORD]
_FORGIVEN = str.maketrans("ILO", "110", "-")
_NUMBER = re.compile(f"[{CROCKFORD}]{{{NUMBER_CHARACTERS}}}")


def new_number() -> str:
    """A random order number without dashes. It cannot be guessed: whoever knows it may read the customer's name."""
    bits = int.from_bytes(os.urandom(8), "big")
    pairs = _PAIRS
    return (
        pairs[bits & 1023]
        + pairs[bits >> 10 & 1023]
        + pairs[bits >> 20 & 1023]
        + pairs[bits >> 30 & 1023]
        + pairs[bits >> 40 & 1023]
        + pairs[bits >> 50 & 1023]
    )


def parse_number(text: str) -> str | None:
    """The order number without dashes that a person meant, or None.

    Case and dashes do not matter; I and L are read as 1, O as 0.
    """
    if len(text) > ORDER_NUMBER_CHARACTERS_MAX or not text.isascii():
        return None
    number = text.upper().translate(_FORGIVEN)
    return number if _NUMBER.fullmatch(number) else None


def format_number(number: str) -> str:
    """The number as people and events write it: `7KQ2-M9XD-4TWE`."""
    return f"{number[:4]}-{number[4:8]}-{number[8:]}"


class OrderRequest(NamedTuple):
    """What a shop asks for, checked: name trimmed, alias resolved, region filled in."""

    customer_name: str
    product_ids: list[int]
    region: str

    def product_ids_json(self) -> str:
        """The ids as a JSON array without white space."""
        return f"[{','.join(map(str, self.product_ids))}]"

    def sha256(self) -> str:
        """SHA-256, in hex, of the request as canonical JSON: equal for equal orders, however they were written."""
        canonical = (
            f'{{"customer_name":{encode_basestring(self.customer_name)},'
            f'"product_ids":{self.product_ids_json()},"region":"{self.region}"}}'
        )
        return hashlib.sha256(canonical.encode()).hexdigest()


class PlacedOrder(NamedTuple):
    """An order with its number and its event, both made before the commit, so that a commit can be run again.

    The fields from `number` to `body` are what is stored, `orders` first, then `outbox`.
    """

    number: str
    customer_name: str
    product_ids: str
    region: str
    created_at: str
    idempotency_key: str | None
    request_hash: str | None
    routing_key: str
    event_id: str
    body: str
    request: OrderRequest
    traceparent: str | None

    def renumbered(self) -> "PlacedOrder":
        """The same order under another number."""
        return _placed(
            self.request, new_number(), self.created_at, self.idempotency_key, self.request_hash, self.traceparent
        )


def place(request: OrderRequest, idempotency_key: str | None = None, traceparent: str | None = None) -> PlacedOrder:
    """The order that the request becomes now."""
    created_at = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    request_hash = None if idempotency_key is None else request.sha256()
    return _placed(request, new_number(), created_at, idempotency_key, request_hash, traceparent)


def _placed(
    request: OrderRequest,
    number: str,
    created_at: str,
    idempotency_key: str | None,
    request_hash: str | None,
    traceparent: str | None,
) -> PlacedOrder:
    name, _, region = request
    dashed = format_number(number)
    product_ids = request.product_ids_json()
    event_id = order_event_id(dashed, SEQUENCE_OF_CREATED)
    trace = "" if traceparent is None else f'"traceparent":"{traceparent}",'
    body = (
        f'{{"specversion":"1.0","id":"{event_id}","source":"{ORDERS_SOURCE}","type":"{ORDER_CREATED}",'
        f'"subject":"{dashed}","datacontenttype":"application/json","time":"{created_at}",'
        f'"sequence":"{SEQUENCE_OF_CREATED}",{trace}"data":{{"order_number":"{dashed}",'
        f'"customer_name":{encode_basestring(name)},"product_ids":{product_ids},"region":"{region}",'
        f'"created_at":"{created_at}"}}}}'
    )
    return PlacedOrder(
        number,
        name,
        product_ids,
        region,
        created_at,
        idempotency_key,
        request_hash,
        f"{ORDER_CREATED}.{region}",
        event_id,
        body,
        request,
        traceparent,
    )


def event_of(
    number: str, customer_name: str, product_ids: list[int], region: str, created_at: datetime | str
) -> Event[OrderCreated]:
    """The event of a stored order: the same id and content as when it was placed. Its key is `order.created.<region>`.

    `number` without dashes.
    """
    return order_created(
        OrderCreated(
            order_number=format_number(number),
            customer_name=customer_name,
            product_ids=tuple(product_ids),
            region=region,
            created_at=parse_rfc3339(created_at) if isinstance(created_at, str) else created_at,
        )
    )
