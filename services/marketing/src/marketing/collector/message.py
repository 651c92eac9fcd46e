"""What is sent of an order: a CloudEvent in structured JSON mode, as on the bus, without the customer's name."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote

from eventbus.contract import Event, OrderCreated

from marketing.customers import PSEUDONYM_BYTES, pseudonym

_VISIBLE_ASCII = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes requests.

    Attributes:
        customer: what is sent of the customer.
        customer_key: of the pseudonyms. Without one no pseudonym is sent.
        content_type: of the body.
        token: the receiver's bearer token.
        signing_key: of signatures by the Standard Webhooks scheme; None: requests are not signed.
    """

    customer: Literal["pseudonym", "name", "none"]
    customer_key: bytes | None = None
    content_type: str = "application/cloudevents+json"
    token: str | None = None
    signing_key: bytes | None = None

    def body(self, event: Event[OrderCreated]) -> bytes:
        """The same bytes for the same event, each time."""
        order = event.data
        data: dict[str, Any] = order.model_dump(mode="json", exclude={"customer_name"})
        if self.customer == "name":
            data["customer_name"] = order.customer_name
        elif self.customer == "pseudonym" and self.customer_key is not None:
            number = pseudonym(order.customer_name, self.customer_key)
            # hexadecimal text: numbers of 64 bits are not exact in JavaScript
            data["customer"] = number.to_bytes(PSEUDONYM_BYTES, "big", signed=True).hex()
        return replace(event, data=data).encode()  # type: ignore[arg-type] # a mapping is encoded as it is

    def headers(self, event: Event[OrderCreated], body: bytes, sent_at: int) -> dict[str, str]:
        """The request's headers. `sent_at`: seconds since 1970, part of the signature."""
        key = quote(event.id, safe=_VISIBLE_ASCII)  # an id may be any text, a header may not
        headers = {"Content-Type": self.content_type, "Idempotency-Key": key}
        if event.traceparent is not None:
            headers["traceparent"] = event.traceparent
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.signing_key is not None:
            signed = hmac.digest(self.signing_key, f"{key}.{sent_at}.".encode() + body, hashlib.sha256)
            headers["webhook-id"] = key
            headers["webhook-timestamp"] = str(sent_at)
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        return headers
