"""How a printer is logged in to, and how it proves to be the one that is meant."""

from dataclasses import dataclass, field

import requests
from eventbus.department.http_target import TargetAdapter, open_session
from requests.auth import HTTPBasicAuth


@dataclass(frozen=True, slots=True)
class Access:
    """What a printer asks of us, and we of it. Without anything: no login, and a certificate that a CA has signed."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    """PEM file of the only CAs that may have signed its certificate; a self-signed certificate is one."""
    cert_sha256: str | None = None
    """Fingerprint of its certificate, in hexadecimal digits, in place of any CA."""


def open_printer_session(access: Access, connections: int) -> requests.Session:
    """A session that connects when it is first used.

    Args:
        connections: kept open, and used at a time, at most.
    """
    session = open_session(TargetAdapter(connections, ca_file=access.ca_file, cert_sha256=access.cert_sha256))
    if access.user is not None and access.password is not None:
        session.auth = HTTPBasicAuth(access.user.encode(), access.password.encode())  # UTF-8 (RFC 7617 section 2.1)
    return session
