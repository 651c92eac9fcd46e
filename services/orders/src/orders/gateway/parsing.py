"""Strict reading of `POST /orders`: headers and body. No I/O.

The body goes through the standard library's decoder: it alone of those tried lets repeated keys be seen
(pydantic, orjson and msgspec keep the last one silently), and costs 3 µs for a small order.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from eventbus.contract.order import (
    PRODUCT_ID_MAX,
    PRODUCT_IDS_MAX,
    check_customer_name,
)
from eventbus.contract.routing import REGION_PATTERN

from orders.gateway.problems import FieldError, Header, ProblemError
from orders.model import OrderRequest

BODY_BYTES_MAX = 65_536
IDEMPOTENCY_KEY_CHARACTERS_MAX = 255

PRODUCT_IDS = "product_ids"
PRODUCT_IDS_ALIAS = "products_ids"
"""The API's first published example spelled it so."""
_FIELDS = frozenset(("customer_name", PRODUCT_IDS, PRODUCT_IDS_ALIAS, "region"))

_KEY = re.compile(rb"[\x21-\x7e]{1,%d}" % IDEMPOTENCY_KEY_CHARACTERS_MAX)
_REGION = re.compile(REGION_PATTERN.removeprefix("^").removesuffix("$"))
_JSON_MEDIA_TYPE = re.compile(r"application/(?:json|[a-z0-9!#$&^_.-]+\+json)", re.IGNORECASE)
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_WANTED = frozenset((b"content-type", b"content-encoding", b"content-length", b"idempotency-key", b"traceparent"))
_SHOWN_CHARACTERS_MAX = 64
_INTEGER_CHARACTERS_MAX = 20
"""More than any number that a field takes."""


class RequestHeaders(NamedTuple):
    """The headers that matter to an order, each with all its values."""

    content_type: tuple[bytes, ...] = ()
    content_encoding: tuple[bytes, ...] = ()
    content_length: tuple[bytes, ...] = ()
    idempotency_key: tuple[bytes, ...] = ()
    traceparent: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, headers: Iterable[Header]) -> "RequestHeaders":
        """The headers among these (names in lower case)."""
        values: dict[str, tuple[bytes, ...]] = {}
        for name, value in headers:
            if name in _WANTED:
                field = name.decode().replace("-", "_")
                values[field] = (*values.get(field, ()), value)
        return cls(**values)

    def declares_too_much(self) -> bool:
        """Whether the announced body is larger than the limit. The parser has refused lengths that are no number."""
        return any(int(value) > BODY_BYTES_MAX for value in self.content_length if value.isdigit())

    def check_body_type(self) -> None:
        """Raises ProblemError (415) unless the body is uncompressed JSON in UTF-8."""
        if any(value.strip().lower() not in (b"", b"identity") for value in self.content_encoding):
            raise ProblemError(415, "The body must not be compressed: leave out Content-Encoding.")
        if self.content_type != (b"application/json",) and not _is_json(self.content_type):
            raise ProblemError(415, "Content-Type must be application/json, in UTF-8.")

    def key(self) -> str | None:
        """The Idempotency-Key. Raises ProblemError (400) for one that is not 1-255 visible ASCII characters."""
        if not self.idempotency_key:
            return None
        if len(self.idempotency_key) > 1 or not _KEY.fullmatch(self.idempotency_key[0]):
            raise ProblemError(
                400,
                f"Idempotency-Key must be one header of 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} visible ASCII "
                "characters.",
                "invalid-idempotency-key",
            )
        return self.idempotency_key[0].decode("ascii")

    def trace(self) -> str | None:
        """The traceparent (W3C Trace Context, version 00); None where it is missing or malformed."""
        if len(self.traceparent) != 1 or not _TRACEPARENT.fullmatch(self.traceparent[0]):
            return None
        return self.traceparent[0].decode("ascii")


def too_large() -> ProblemError:
    """The body is over the limit; the connection is closed, so that the rest need not be read."""
    return ProblemError(413, f"The body must not be larger than {BODY_BYTES_MAX} bytes.", close=True)


def parse_order(body: bytes, default_region: str) -> OrderRequest:
    """The order in the body.

    Raises:
        ProblemError: 400 for what is no JSON in UTF-8, 422 with all fields at fault for what is no order.
    """
    document = _decoded(body)
    errors: list[FieldError] = []
    name = _customer_name(document, errors)
    product_ids = _product_ids(document, errors)
    region = _region(document, default_region, errors)
    if not _FIELDS.issuperset(document):
        unknown = [field for field in document if field not in _FIELDS]
        errors += [FieldError(_shown(each), "is not a field of an order", f"#/{_escaped(each)}") for each in unknown]
    if errors:
        raise _invalid(errors)
    return OrderRequest(name, product_ids, region)


class _Repeating:
    """Stands for an object with a repeated key. No field takes an object: inside one, the field's check reports it."""

    def __init__(self, key: str) -> None:
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeating:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return _Repeating(key)


class _LongInteger:
    """Stands for an integer that no field takes, so that the field's check reports it."""


def _integer(digits: str) -> int | _LongInteger:
    return int(digits) if len(digits) <= _INTEGER_CHARACTERS_MAX else _LongInteger()


def _no_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no JSON value", "", 0)


_decode_short = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode
_decode_any = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer).decode


def _decode(text: str) -> Any:
    try:
        return _decode_short(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # the interpreter's limit for integers, 4,300 digits; a call for each integer is slow: only here
        return _decode_any(text)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError(400, f"The body is not UTF-8, at byte {error.start}.", "malformed-body") from None
    if text.startswith("\ufeff"):
        raise ProblemError(400, "The body begins with a byte-order mark; send UTF-8 without it.", "malformed-body")
    try:
        document = _decode(text)
    except json.JSONDecodeError as error:
        where = f" at line {error.lineno}, column {error.colno}" if error.doc else ""
        raise ProblemError(400, f"The body is not JSON: {error.msg}{where}.", "malformed-body") from None
    except RecursionError:
        raise ProblemError(400, "The body is nested too deeply.", "malformed-body") from None
    if isinstance(document, _Repeating):
        raise _invalid([FieldError(_shown(document.key), "occurs twice", f"#/{_escaped(document.key)}")])
    if not isinstance(document, dict):
        raise ProblemError(422, "The body must be one JSON object.", "invalid-order")
    return document


def _customer_name(document: dict[str, Any], errors: list[FieldError]) -> str:
    name = document.get("customer_name")
    if type(name) is str:
        try:
            return check_customer_name(name)
        except ValueError as error:
            problem = str(error)
    else:
        problem = "must be a string" if "customer_name" in document else "is missing"
    errors.append(FieldError("customer_name", problem, "#/customer_name"))
    return ""


def _product_ids(document: dict[str, Any], errors: list[FieldError]) -> list[int]:
    field = PRODUCT_IDS if PRODUCT_IDS in document or PRODUCT_IDS_ALIAS not in document else PRODUCT_IDS_ALIAS
    ids = document.get(field)
    pointer = f"#/{field}"
    if field == PRODUCT_IDS and PRODUCT_IDS_ALIAS in document:
        problem = f"is given twice, as {PRODUCT_IDS} and as {PRODUCT_IDS_ALIAS}"
    elif field not in document:
        problem = "is missing"
    elif type(ids) is not list:
        problem = "must be an array of integers"
    elif not 1 <= len(ids) <= PRODUCT_IDS_MAX:
        problem = f"must have 1 to {PRODUCT_IDS_MAX} items, has {len(ids)}"
    else:
        for index, each in enumerate(ids):
            if type(each) is not int or not 1 <= each <= PRODUCT_ID_MAX:
                problem = f"must be integers from 1 to {PRODUCT_ID_MAX}, item {index + 1} is not"
                pointer = f"{pointer}/{index}"
                break
        else:
            return ids
    errors.append(FieldError(field, problem, pointer))
    return []


def _region(document: dict[str, Any], default: str, errors: list[FieldError]) -> str:
    if "region" not in document:
        return default
    region = document["region"]
    if type(region) is str and _REGION.fullmatch(region):
        return region
    errors.append(FieldError("region", "must be 1 to 32 characters of a-z, 0-9 and -", "#/region"))
    return default


def _is_json(values: tuple[bytes, ...]) -> bool:
    if len(values) != 1:
        return False
    media_type, *parameters = values[0].decode("latin-1").split(";")
    if not _JSON_MEDIA_TYPE.fullmatch(media_type.strip()):
        return False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            return False
    return True


def _invalid(errors: list[FieldError]) -> ProblemError:
    detail = "; ".join(f"{error.field} {error.detail}" for error in errors[:3])
    return ProblemError(422, f"The order is refused: {detail}.", "invalid-order", errors[:20])


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN_CHARACTERS_MAX else f"{name[:_SHOWN_CHARACTERS_MAX]}…"


def _escaped(name: str) -> str:
    return _shown(name).replace("~", "~0").replace("/", "~1")
