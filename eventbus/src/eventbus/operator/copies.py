"""Copies of messages in a file, for a person: written before the broker may forget them."""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from eventbus.contract import rfc3339
from eventbus.operator.errors import RefusedError
from eventbus.operator.parked import Parked


def write(path: Path, queue: str, messages: Sequence[Parked]) -> None:
    """Write them to a new file that only its owner can read, one JSON object a line.

    On return file and name are on the disk: a power cut does not undo it.

    Raises:
        RefusedError: it cannot be written. What was begun of it is removed.
    """
    lines = [json.dumps(as_json(message, queue), ensure_ascii=False) + "\n" for message in messages]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # half a copy of what is still in the queue: the first error is the one to tell
            path.unlink()
        raise _refused(path, error) from error


def as_json(message: Parked, queue: str) -> dict[str, Any]:
    """The message with all it carries, for a file. The body in base64: it may be anything."""
    properties = {k: v for k, v in vars(message.properties).items() if v is not None and k != "headers"}
    written: dict[str, Any] = plain(
        {
            "queue": queue,
            "department": message.department,
            "routing_key": message.routing_key,
            "properties": properties,
            "headers": message.headers,
        }
    )
    return {**written, "body_base64": base64.b64encode(message.body).decode("ascii")}


def plain(value: Any) -> Any:
    """The value as JSON can hold it. Bytes (pika's for text that is not UTF-8) become `{"base64": "…"}`.

    As a name in a mapping they become `base64:…`.
    """
    if isinstance(value, Mapping):
        return {_name(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return rfc3339(value) if value.tzinfo else value.isoformat()
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, bool | float | str) or value is None:
        return value
    return int(value) if isinstance(value, int) else str(value)


def _name(name: object) -> str:
    return f"base64:{base64.b64encode(name).decode('ascii')}" if isinstance(name, bytes) else str(name)


def _sync_folder(folder: Path) -> None:
    """Without it a power cut may lose the file's name, and with it the file."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> RefusedError:
    return RefusedError(f"{path}: cannot be written, nothing was dropped: {error.strerror}")
