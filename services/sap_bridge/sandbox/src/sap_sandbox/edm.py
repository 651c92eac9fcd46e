"""Values of OData's primitive types: from JSON (version 2), from URL literals, and back to JSON."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from sap_sandbox.schema import SCALE, Edm, Property

Value = str | bool | datetime | Decimal | None
"""A property's value in here: dates are naive and at midnight, moments are in UTC, `None` is a date not set."""

_INITIAL: dict[Edm, Value] = {
    Edm.STRING: "",
    Edm.BOOLEAN: False,
    Edm.DECIMAL: Decimal(0),
    Edm.DATE: None,
    Edm.MOMENT: None,
}
_JSON_DATE = re.compile(r"/Date\((-?\d{1,15})\)/", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_DATE_LITERAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,7})?)?", re.ASCII)
_MOMENT_LITERAL = re.compile(_DATE_LITERAL.pattern + r"(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - Edm.DateTime has no zone


class ValueFormatError(ValueError):
    """The text or JSON value is none of the property's type. The message says what is expected."""


def initial(prop: Property) -> Value:
    """What a property holds that nobody has set."""
    return _INITIAL[prop.edm]


def from_json(prop: Property, value: Any) -> Value:
    """The value of a property in a request's body; null is the initial value.

    Raises:
        ValueFormatError: another JSON type than OData version 2 writes, too long, or not a date.
    """
    if value is None:
        return initial(prop)
    if prop.edm is Edm.BOOLEAN:
        if not isinstance(value, bool):
            raise ValueFormatError("a JSON boolean is expected")
        return value
    if not isinstance(value, str):
        raise ValueFormatError("a JSON string is expected")
    if prop.edm is Edm.STRING:
        return text(prop, value)
    if prop.edm is Edm.DECIMAL:
        return _decimal(prop, value)
    if not (match := _JSON_DATE.fullmatch(value)):
        raise ValueFormatError("a date as /Date(milliseconds)/ is expected")
    try:
        moment = _EPOCH + timedelta(milliseconds=int(match[1]))
    except OverflowError:
        raise ValueFormatError("a date between the years 1 and 9999 is expected") from None
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def text(prop: Property, value: str) -> str:
    """The string as it is kept: without trailing blanks, converted as the property asks.

    Raises:
        ValueFormatError: it is longer than the property, or holds a character that no database takes.
    """
    value = value.rstrip(" ")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueFormatError("text without NUL and lone surrogates is expected")
    if prop.upper:
        value = value.upper()
    length = len(value.encode("utf-16-le")) // 2  # ABAP's characters: an emoji is two
    if prop.size and length > prop.size:
        raise ValueFormatError(f"at most {prop.size} characters are expected, got {length}")
    if prop.padded and value.isascii() and value.isdigit():
        value = value.zfill(prop.size)
    return value


def _decimal(prop: Property, value: str) -> Decimal:
    if not _DECIMAL.fullmatch(value):
        raise ValueFormatError("a decimal number is expected")
    whole, _, fraction = value.lstrip("-").partition(".")
    if len(whole.lstrip("0")) > prop.size - SCALE or len(fraction.rstrip("0")) > SCALE:
        raise ValueFormatError(f"at most {prop.size} digits, {SCALE} after the point, are expected")
    return Decimal(value)


def from_literal(prop: Property, literal: str) -> Value:
    """The value of a literal in a URL that is compared with the property.

    Raises:
        ValueFormatError: the literal is of another type.
    """
    prefix, quoted, body = literal.partition("'")
    body = body[:-1].replace("''", "'")
    if prop.edm is Edm.STRING and quoted and not prefix:
        return text(prop, body)
    if prop.edm is Edm.DATE and prefix == "datetime" and _DATE_LITERAL.fullmatch(body):
        return _moment(body)
    if prop.edm is Edm.MOMENT and prefix == "datetimeoffset" and _MOMENT_LITERAL.fullmatch(body):
        return _moment(body).astimezone(UTC)
    if prop.edm is Edm.DECIMAL and not quoted and _DECIMAL.fullmatch(literal.rstrip("mM")):
        return _decimal(prop, literal.rstrip("mM"))
    if prop.edm is Edm.BOOLEAN and literal in ("true", "false"):
        return literal == "true"
    raise ValueFormatError(f"a literal of type {prop.edm} is expected, got {literal}")


def _moment(body: str) -> datetime:
    try:
        return datetime.fromisoformat(body)
    except ValueError:
        raise ValueFormatError(f"a date of the calendar is expected, got {body}") from None


def to_json(prop: Property, value: Value) -> str | bool | None:
    """The value as OData version 2 writes it: decimals and dates are strings, `null` is a date not set."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Decimal):
        shown = f"{value:.{SCALE}f}".rstrip("0").rstrip(".")
        return shown if prop.name == "RequestedQuantity" else f"{value:.2f}"
    if isinstance(value, datetime):
        zone = "" if value.tzinfo is None else "+0000"
        milliseconds = (value.replace(tzinfo=None) - _EPOCH) // timedelta(milliseconds=1)
        return f"/Date({milliseconds}{zone})/"
    return external(prop, value)


def external(prop: Property, value: str) -> str:
    """The string as it is shown: without the zeros that padding has put before it."""
    return value.lstrip("0") if prop.padded and value.isdigit() else value


def key_literal(prop: Property, value: str) -> str:
    """The value of a key property as it stands in an entity's address."""
    return quote("'" + external(prop, value).replace("'", "''") + "'", safe="'")
