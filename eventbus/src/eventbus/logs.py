"""Structured logs: JSON lines in production, readable on a terminal. Never a customer's name, never a password."""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from eventbus.settings import redacted

LogFormat = Literal["json", "text"]


def configure(service: str, *, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Send this process's logs, libraries' included, to standard error (or `stream`), one line an entry.

    `LOG_FORMAT` is `json` or `text` (default: text on a terminal, else JSON); `LOG_LEVEL` a level's name (INFO).
    """
    stream = stream or sys.stderr
    text = environ.get("LOG_FORMAT", "text" if stream.isatty() else "json") == "text"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    renderers: list[structlog.typing.Processor]
    if text:
        renderers = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), timestamp_key="time")]
    else:
        renderers = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
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
    root.setLevel(environ.get("LOG_LEVEL", "INFO").upper())
    for chatty in ("pika", "urllib3", "amqp", "alembic", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, add_service, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and key-value pairs: `log.info("handled", order=…, seconds=…)`."""
    return structlog.stdlib.get_logger(name)


def _without_passwords(_logger: Any, _method: str, line: Any) -> str:
    # the finished line: a URL may stand in a traceback or deep in a value as well
    return redacted(line) if "://" in line else str(line)
