"""How a printer is logged in to, and how it proves to be the one that is meant."""

import ssl
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import DEFAULT_CA_BUNDLE_PATH


@dataclass(frozen=True, slots=True)
class Access:
    """What a printer asks of us, and we of it. Without anything: no login, and a certificate that a CA has signed."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """PEM file of the only CAs that may have signed its certificate; a self-signed certificate is one."""
    cert_sha256: str | None = None
    """Fingerprint of its certificate, in hexadecimal digits, in place of any CA."""


def open_session(access: Access, connections: int) -> requests.Session:
    """A session that connects when it is first used.

    Args:
        connections: kept open, and used at a time, at most.
    """
    session = requests.Session()
    # no proxy, .netrc or REQUESTS_CA_BUNDLE of the machine is meant for the printer; the last would beat `verify`
    session.trust_env = False
    if access.user is not None and access.password is not None:
        session.auth = HTTPBasicAuth(access.user.encode(), access.password.encode())  # UTF-8 (RFC 7617 section 2.1)
    session.verify = access.cert_sha256 is None
    adapter = _PrinterAdapter(access, pool_connections=1, pool_maxsize=connections, pool_block=True)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class _PrinterAdapter(HTTPAdapter):
    """Trusts CAs, read once, or one certificate alone."""

    def __init__(self, access: Access, **pool: Any) -> None:
        self._access = access
        super().__init__(**pool)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._access.cert_sha256:
            kwargs["assert_fingerprint"] = self._access.cert_sha256
        else:
            kwargs["ssl_context"] = _context(self._access.ca_file)
        super().init_poolmanager(*args, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002 - requests' signature
        # the context knows the CAs; requests would read its own from their file for each connection (20 ms)
        conn.cert_reqs = "CERT_NONE" if self._access.cert_sha256 else "CERT_REQUIRED"


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # a slim image has no CAs of its own
    return context
