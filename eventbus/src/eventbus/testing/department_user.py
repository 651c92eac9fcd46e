"""A broker user with the rights that a department has in production, and no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests

from eventbus.testing.broker import Broker
from eventbus.topology import DEAD, EVENTS, TIER_NAMES


@contextmanager
def department_user(broker: Broker, department: str, *, reports: bool = True) -> Iterator[str]:
    """The AMQP URL of a new user that may do what this department must, in the test's virtual host.

    Without `reports` it may announce itself, but not report.
    """
    vhost, user = broker.vhost, f"{department}-{broker.vhost}"

    def put(path: str, **body: str) -> None:
        url = f"{broker.management.base}/api/{path}"
        requests.put(url, json=body, auth=broker.login, timeout=10).raise_for_status()

    def topic(exchange: str, write: str, read: str) -> None:
        put(f"topic-permissions/{vhost}/{user}", exchange=exchange, write=write, read=read)

    put(f"users/{user}", password="secret", tags="")  # noqa: S106 - of a user that lives as long as the test
    put(
        f"permissions/{vhost}/{user}",
        configure=rf"^{department}(\.dead)?$",
        write=rf"^({department}(\.dead)?|events|dead|retry\.(1s|10s|1m|10m|1h))$",
        read=rf"^({department}(\.dead)?|events|departments|dead)$",
    )
    kinds = r"(order\.progressed|department\.joined)" if reports else r"department\.joined"
    topic(EVENTS, rf"^{kinds}\.{department}$", r"^order\.")
    topic(DEAD, f"^{department}$", f"^{department}$")
    for tier in TIER_NAMES:
        topic(tier, f"^{department}$", "^$")
    parts = urlsplit(broker.amqp_url)
    yield parts._replace(netloc=f"{user}:secret@{parts.hostname}:{parts.port}").geturl()
    url = f"{broker.management.base}/api/users/{user}"
    requests.delete(url, auth=broker.login, timeout=10).raise_for_status()
