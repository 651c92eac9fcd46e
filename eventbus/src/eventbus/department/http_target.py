"""What every department that calls its target over HTTP has to get right. The department declares `requests`."""

import email.utils
import ssl
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

RETRY_AFTER_S_MAX = 3600.0


class TargetAdapter(HTTPAdapter):
    """A pool of connections to one host, which trusts some CAs, or one certificate alone.

    CAs are read once: `requests` reads its own for each connection, which holds eventlet's hub for 20 ms.

    Args:
        connections: kept open, and used at a time, at most.
        ca_file: PEM file of the only CAs that are trusted, as `certificates_file` checked it; None: the machine's, and
            those that come with `requests` (a slim image has no others).
        cert_sha256: fingerprint of the target's certificate, in hexadecimal digits, in place of any CA.
        retries: none by default. What was sent must not be sent again by a library.
    """

    def __init__(
        self,
        connections: int,
        *,
        ca_file: str | None = None,
        cert_sha256: str | None = None,
        retries: urllib3.Retry | None = None,
    ) -> None:
        self._ca_file = ca_file
        self._cert_sha256 = cert_sha256
        self.asks_cas = cert_sha256 is None
        super().__init__(pool_connections=1, pool_maxsize=connections, pool_block=True, max_retries=retries or 0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self.asks_cas:
            kwargs["ssl_context"] = _context(self._ca_file)
        else:
            kwargs["assert_fingerprint"] = self._cert_sha256
        super().init_poolmanager(*args, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - requests' signature
        conn.cert_reqs = "CERT_REQUIRED" if self.asks_cas else "CERT_NONE"  # the context knows the CAs


def open_session(adapter: TargetAdapter) -> requests.Session:
    """A session that connects by that adapter when it is first used, and keeps no cookie.

    No proxy, `.netrc` or `REQUESTS_CA_BUNDLE` of the machine is meant for the target: the last would beat our own CA.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = adapter.asks_cas  # otherwise the adapter compares the fingerprint
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def certificates_file(name: str, variable: str) -> str:
    """The name of that file, which holds certificates. Raises ValueError, for a settings class, with the variable."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=name)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{variable}: a file with certificates as PEM ({error.strerror})") from None
    return name


def retry_after_s(header: str | None) -> float | None:
    """The seconds of a `Retry-After`, a number or a date (RFC 9110, 10.2.3), an hour at most; None if there are none.

    A date that is over is 0.
    """
    value = (header or "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value), RETRY_AFTER_S_MAX)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), RETRY_AFTER_S_MAX)


def causes_of(error: BaseException) -> list[BaseException]:
    """The error and all that caused it, from the outside in: `requests` and urllib3 keep causes as arguments or
    attributes, too."""
    found: list[BaseException] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        found.append(current)
        inside = [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
        waiting += [cause for cause in inside if isinstance(cause, BaseException)]
    return found


def kinds_of(error: BaseException) -> str:
    """The names of the error's class and of its causes' classes, for logs and reasons.

    Not their texts: those hold URLs, and with them order numbers or secrets.
    """
    return " from ".join(dict.fromkeys(type(cause).__name__ for cause in causes_of(error)))


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context
