"""AMQP connections of the operator's tools."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote, unquote, urlsplit

import pika
from pika.exceptions import AMQPConnectionError, AMQPError

from eventbus.operator.errors import UnreachableError
from eventbus.settings import redacted

CONNECT_S = 5
HEARTBEAT_S = 60


def parameters(url: str, ca: str | None = None) -> pika.URLParameters:
    """Parameters of one `amqp://` or `amqps://` URL.

    Args:
        url: of one host; its own `ssl_options` win over `ca`.
        ca: file with the CA that an `amqps` host's certificate is checked against; None: the machine's own.

    Raises:
        UnreachableError: the URL is of another kind, or the CA cannot be read.
    """
    expected = f"AMQP_URL: expected amqp://user:password@host:port/vhost, got {redacted(url)!r}"
    if not url.startswith(("amqp://", "amqps://")):  # pika takes any word for a scheme
        raise UnreachableError(expected)
    try:
        parsed = pika.URLParameters(url)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UnreachableError(expected) from error
    if ca and "ssl_options=" not in url:
        try:
            trust(parsed, ca)
        except OSError as error:  # ssl.SSLError is one: no certificate in it
            why = error.strerror or error
            raise UnreachableError(f"AMQP_CA: expected a file with the CA's certificate, got {ca!r}: {why}") from error
    parsed.socket_timeout = parsed.stack_timeout = parsed.blocked_connection_timeout = CONNECT_S
    parsed.heartbeat = HEARTBEAT_S
    parsed.client_properties = {"connection_name": "bus"}
    return parsed


def trust(host: pika.URLParameters, ca: str) -> None:
    """Check an `amqps` host's certificate, and its name, against the CA in that file alone. `amqp` stays as it is.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    if host.ssl_options is not None:
        host.ssl_options = pika.SSLOptions(ssl.create_default_context(cafile=ca), host.host)


def hosts(amqp_url: str) -> list[str]:
    """The single URLs of a comma-separated list."""
    return [url.strip() for url in amqp_url.split(",") if url.strip()]


def vhost_of(amqp_url: str) -> str:
    """The virtual host that the URL names: `/` where it names none."""
    path = urlsplit(hosts(amqp_url)[0]).path if hosts(amqp_url) else ""
    return unquote(path[1:]) or "/"


def as_user(amqp_url: str, user: str, password: str) -> str:
    """The same URLs with another login."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return ",".join(_with_login(url, login) for url in hosts(amqp_url))


def _with_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


@contextmanager
def connected(amqp_url: str) -> Iterator[pika.BlockingConnection]:
    """A connection to the first host that answers, closed at the end. `AMQP_CA` of the environment is trusted.

    Raises:
        UnreachableError: none answers, the login is refused, or the certificate is not trusted.
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
            return pika.BlockingConnection(parameters(url, os.environ.get("AMQP_CA")))
        except (AMQPConnectionError, OSError) as error:  # an untrusted certificate is an ssl.SSLError
            problems.append(f"{redacted(url)}: {_reason(error)}")
    raise UnreachableError(f"AMQP_URL: no broker answers: {'; '.join(problems) or 'AMQP_URL is empty'}")


def _reason(error: BaseException) -> str:
    """The innermost cause in words: pika wraps the socket's error twice."""
    while isinstance(inner := getattr(error, "exception", error.args[0] if error.args else None), BaseException):
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
