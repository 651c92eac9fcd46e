"""IPP messages as bytes (RFC 8010): what a print client needs of them, encoded and decoded.

Of collections (RFC 8010 section 3.1.6) only the extent is decoded: their value is None.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

VERSION = (2, 0)
Value = int | bool | str | bytes | None
"""None: the printer says unknown, no value or unsupported; or a collection."""


class MalformedIppError(ValueError):
    """Bytes that are no IPP message."""


class Tag(IntEnum):
    """Delimiter and value tags (RFC 8010 section 3.5)."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED = 0x05
    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    COLLECTION = 0x34
    TEXT_WITH_LANGUAGE = 0x35
    NAME_WITH_LANGUAGE = 0x36
    END_COLLECTION = 0x37
    TEXT = 0x41
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME_TYPE = 0x49
    MEMBER_NAME = 0x4A


_FIRST_VALUE_TAG = 0x10
_OUT_OF_BAND_TAGS = range(0x10, 0x20)
_STRING_TAGS = range(0x40, 0x60)

Attribute = tuple[Tag, Value | Sequence[Value]]
"""An attribute to send: its tag and one value or several."""
Group = Mapping[str, tuple[Value, ...]]
"""Attributes as they were received: name and values."""


@dataclass(frozen=True, slots=True)
class Response:
    """A decoded response. Groups in the order of the message; several jobs are several groups."""

    version: tuple[int, int]
    status: int
    request_id: int
    groups: tuple[tuple[int, Group], ...] = field(default=())

    def first(self, tag: Tag) -> Group:
        """The first group with that tag, or an empty one."""
        return next(self.all(tag), MappingProxyType({}))

    def all(self, tag: Tag) -> Iterator[Group]:
        """Every group with that tag."""
        return (group for found, group in self.groups if found == tag)


def encode_request(operation: int, request_id: int, groups: Sequence[tuple[Tag, Mapping[str, Attribute]]]) -> bytes:
    """The bytes of a request, to which a document may be appended."""
    parts = [struct.pack(">BBHI", *VERSION, operation, request_id)]
    for delimiter, attributes in groups:
        parts.append(bytes([delimiter]))
        for name, (tag, value) in attributes.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            for index, one in enumerate(values):
                parts.append(_attribute(tag, name if index == 0 else "", one))
    parts.append(bytes([Tag.END]))
    return b"".join(parts)


def _attribute(tag: Tag, name: str, value: Value) -> bytes:
    match value:
        case bool():
            data = bytes([value])
        case int():
            data = struct.pack(">i", value)
        case str():
            data = value.encode()
        case _:
            raise TypeError(f"{name}: cannot send a value of type {type(value).__name__}")
    encoded = name.encode("ascii")
    return struct.pack(">BH", tag, len(encoded)) + encoded + struct.pack(">H", len(data)) + data


def decode_response(body: bytes) -> Response:
    """The response in the body of an HTTP answer.

    Raises:
        MalformedIppError: the bytes are no whole IPP message.
    """
    reader = _Reader(body)
    major, minor, status, request_id = struct.unpack(">BBHI", reader.take(8))
    if not 1 <= major <= 2:
        raise MalformedIppError(f"IPP version {major}.{minor}")
    groups: list[tuple[int, dict[str, tuple[Value, ...]]]] = []
    name = ""
    while (tag := reader.byte()) != Tag.END:
        if tag < _FIRST_VALUE_TAG:
            groups.append((tag, {}))
            name = ""
            continue
        if not groups:
            raise MalformedIppError("an attribute stands before the first group")
        name = reader.text() or name
        if not name:
            raise MalformedIppError("a value belongs to no attribute")
        attributes = groups[-1][1]
        attributes[name] = (*attributes.get(name, ()), _value(tag, reader))
    return Response((major, minor), status, request_id, tuple(groups))


def _value(tag: int, reader: "_Reader") -> Value:
    data = reader.field()
    if tag == Tag.COLLECTION:
        _skip_collection(reader)
        return None
    if tag in _OUT_OF_BAND_TAGS:
        return None
    if tag in (Tag.INTEGER, Tag.ENUM):
        if len(data) != 4:
            raise MalformedIppError(f"an integer of {len(data)} bytes")
        return int.from_bytes(data, signed=True)
    if tag == Tag.BOOLEAN:
        return data != b"\x00"
    if tag in (Tag.TEXT_WITH_LANGUAGE, Tag.NAME_WITH_LANGUAGE):
        inner = _Reader(data)
        inner.field()
        return inner.text()
    return data.decode("utf-8", "replace") if tag in _STRING_TAGS else data


def _skip_collection(reader: "_Reader") -> None:
    depth = 1
    while depth:
        tag = reader.byte()
        if tag < _FIRST_VALUE_TAG:
            raise MalformedIppError("a collection does not end")
        reader.field()
        reader.field()
        depth += (tag == Tag.COLLECTION) - (tag == Tag.END_COLLECTION)


class _Reader:
    """Takes bytes in turn; too few are an error."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise MalformedIppError(f"the message ends after {len(self._data)} bytes, {end} were announced")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def field(self) -> bytes:
        return self.take(int.from_bytes(self.take(2)))

    def text(self) -> str:
        return self.field().decode("utf-8", "replace")
