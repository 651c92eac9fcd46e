"""Structured logs: JSON lines in production, readable on a terminal. Never a customer's name, never a password."""

import io
import json
import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from eventbus.settings import exit_configuration, redacted

LogFormat = Literal["json", "text"]


def configure(service: str, *, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Send this process's logs, libraries' included, to standard error (or `stream`), one line an entry.

    `LOG_FORMAT` is `json` or `text` (default: text on a terminal, else JSON); `LOG_LEVEL` a level's name (INFO).
    Another value ends the process with one line and exit code 78.
    """
    stream = stream or sys.stderr
    text = is_text(stream, environ)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    renderers: list[structlog.typing.Processor]
    if text:
        # plain: with `rich` installed structlog would print the variables of every frame, customers' names among them
        renderers = [
            _escaped_values,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), timestamp_key="time", exception_formatter=_plain_traceback
            ),
        ]
    else:
        renderers = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
            _escaped_line,
        ]

    def add_service(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        entry.setdefault("service", service)
        return entry

    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, add_service],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers, _without_passwords],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_level(environ))
    for chatty in ("pika", "urllib3", "amqp", "alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, add_service, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def is_text(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether logs on that stream are for people. A wrong `LOG_FORMAT` ends the process with one line and code 78."""
    wanted = environ.get("LOG_FORMAT", "").strip().lower() or ("text" if stream.isatty() else "json")
    if wanted not in ("json", "text"):
        exit_configuration(f"LOG_FORMAT: expected json or text, got: {wanted}")
    return wanted == "text"


def _level(environ: Mapping[str, str]) -> int:
    name = environ.get("LOG_LEVEL", "").strip().upper() or "INFO"
    levels = logging.getLevelNamesMapping()
    if name not in levels:
        exit_configuration(f"LOG_LEVEL: expected one of {', '.join(levels)}, got: {name}")
    return levels[name]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and key-value pairs: `log.info("handled", order=…, seconds=…)`."""
    return structlog.stdlib.get_logger(name)


def _plain_traceback(stream: TextIO, exc_info: Any) -> None:
    written = io.StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    stream.write("\n".join(map(escaped, written.getvalue().split("\n"))))


def _escaped_values(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in entry.items():
        if isinstance(value, str) and not value.isprintable():
            entry[key] = escaped(value)
    return entry


def _escaped_line(_logger: Any, _method: str, line: Any) -> str:
    # JSON escapes the control characters of ASCII alone: not the line separators of Unicode, at which some readers
    # cut, nor the 8-bit control sequences, which terminals obey
    text = str(line)
    return text if text.isprintable() else "".join(c if c.isprintable() else _json_escape(c) for c in text)


def escaped(text: str) -> str:
    """The text on one line: what is no printable character (Unicode's control, format, separator and private-use ones,
    lone surrogates) as `\\x1b`, `\\u2028`. What strangers write must neither make a line nor steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _without_passwords(_logger: Any, _method: str, line: Any) -> str:
    # the finished line: a URL may stand in a traceback or deep in a value as well
    return redacted(line) if "://" in line else str(line)
