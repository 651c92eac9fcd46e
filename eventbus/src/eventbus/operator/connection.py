"""AMQP connections of the operator's tools."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

import pika
from pika.exceptions import AMQPConnectionError, AMQPError

from eventbus.operator.errors import UnreachableError
from eventbus.settings import redacted

CONNECT_S = 5
HEARTBEAT_S = 60


def parameters(url: str) -> pika.URLParameters:
    """Parameters of one `amqp://` or `amqps://` URL. Raises UnreachableError for another one."""
    try:
        parsed = pika.URLParameters(url)
    except (ValueError, KeyError, TypeError) as error:
        raise UnreachableError(f"AMQP_URL: expected amqp://user:password@host:port/vhost, got {redacted(url)!r}") from (
            error
        )
    parsed.socket_timeout = parsed.stack_timeout = parsed.blocked_connection_timeout = CONNECT_S
    parsed.heartbeat = HEARTBEAT_S
    parsed.client_properties = {"connection_name": "bus"}
    return parsed


def hosts(amqp_url: str) -> list[str]:
    """The single URLs of a comma-separated list."""
    return [url.strip() for url in amqp_url.split(",") if url.strip()]


def vhost_of(amqp_url: str) -> str:
    """The virtual host that the URL names: `/` where it names none."""
    path = urlsplit(hosts(amqp_url)[0]).path if hosts(amqp_url) else ""
    return unquote(path[1:]) or "/"


@contextmanager
def connected(amqp_url: str) -> Iterator[pika.BlockingConnection]:
    """A connection to the first host that answers, closed at the end.

    Raises:
        UnreachableError: none answers, or the login is refused.
    """
    connection = _first_answer(amqp_url)
    try:
        yield connection
    finally:
        if connection.is_open:
            with suppress(AMQPError):  # it is gone: what mattered was confirmed before
                connection.close()


def _first_answer(amqp_url: str) -> pika.BlockingConnection:
    problems = []
    for url in hosts(amqp_url):
        try:
            return pika.BlockingConnection(parameters(url))
        except AMQPConnectionError as error:
            problems.append(f"{redacted(url)}: {error or type(error).__name__}")
    raise UnreachableError(f"no broker answers: {'; '.join(problems) or 'AMQP_URL is empty'}")
