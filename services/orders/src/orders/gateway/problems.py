"""Problem details (RFC 9457): the one form of every 4xx and 5xx answer."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

MEDIA_TYPE = "application/problem+json"
Header = tuple[bytes, bytes]


class FieldError(NamedTuple):
    """What is wrong with one field of a body. `pointer` is a JSON pointer (RFC 6901) as URI fragment."""

    field: str
    detail: str
    pointer: str


class ProblemError(Exception):
    """Ends a request with problem details.

    Args:
        status: of HTTP.
        detail: a sentence for people: what is wrong and what to do.
        kind: names the type of problem for programs, `urn:order-bus:problem:<kind>`; None: the status says it all.
        errors: the fields at fault.
        retry_after_s: sent as `Retry-After`.
        close: whether the connection is closed.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        kind: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.close = close

    def body(self) -> bytes:
        """The JSON document. ASCII: a field's name may hold what UTF-8 cannot."""
        phrase = HTTPStatus(self.status).phrase
        document: dict[str, Any] = {
            "type": "about:blank" if self.kind is None else f"urn:order-bus:problem:{self.kind}",
            "title": phrase if self.kind is None else self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [error._asdict() for error in self.errors]
        return json.dumps(document).encode()

    def headers(self, body: bytes) -> list[Header]:
        """The headers of the answer with that body."""
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.close:
            headers.append((b"connection", b"close"))
        return headers


def database_unavailable() -> ProblemError:
    """Nothing was stored, and nothing will be."""
    return ProblemError(
        503,
        "The orders database cannot be reached or takes no orders now. Nothing was stored; try again.",
        "database-unavailable",
        retry_after_s=1,
    )


def too_busy() -> ProblemError:
    """The queue is full, or it took too long. Nothing was stored, and nothing will be."""
    return ProblemError(503, "Too many orders at once. Nothing was stored; try again.", "too-busy", retry_after_s=1)


def outcome_unknown() -> ProblemError:
    """The commit's answer was lost, and it could not be looked up in time."""
    return ProblemError(
        503,
        "It is not known whether the order was stored. Repeat the request with the same Idempotency-Key: "
        "that gives this order, never a second one.",
        "outcome-unknown",
        retry_after_s=1,
    )


def key_reused() -> ProblemError:
    """Another order has that key."""
    return ProblemError(
        422,
        "This Idempotency-Key was used for another order. Use a new key for a new order.",
        "idempotency-key-reused",
    )


def internal_error() -> ProblemError:
    """A bug of ours."""
    return ProblemError(500, "The server failed to handle this request. The failure was logged.")
