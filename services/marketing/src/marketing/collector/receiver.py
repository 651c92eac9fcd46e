"""Dependency provider: the other tool, over HTTP."""

import time
from importlib.metadata import version
from typing import Any

import requests
import urllib3
from eventbus.contract import Event, OrderCreated
from eventbus.department.http_target import TargetAdapter, open_session
from eventbus.logs import get_logger
from nameko.extensions import DependencyProvider
from pydantic import SecretStr

from marketing.collector.answers import judge, judge_failure
from marketing.collector.message import Writer
from marketing.collector.settings import CollectorSettings, decoded

ANSWER_BYTES_MAX = 65_536
"""An answer is read this far, so that its connection can be used again; a longer one costs the connection."""

log = get_logger(__name__)


class Receiver(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Injects itself: posts orders over connections that are kept open."""

    def setup(self) -> None:
        settings: CollectorSettings = self.container.config["settings"]
        self._settings = settings
        self._writer = Writer(
            settings.customer,
            customer_key=encoded(settings.customer_key),
            content_type=settings.content_type,
            token=settings.token.get_secret_value() if settings.token else None,
            signing_key=decoded(settings.signing_secret) if settings.signing_secret else None,
        )
        if settings.customer == "pseudonym" and settings.customer_key is None:
            log.warning("no customer is sent: MARKETING_CUSTOMER_KEY, the key of the pseudonyms, is not set")
        self._session = open_session(TargetAdapter(settings.max_workers, ca_file=settings.ca_file))
        self._session.headers["User-Agent"] = f"order-bus-marketing-collector/{version('order-bus-marketing')}"

    def stop(self) -> None:
        self._session.close()

    def get_dependency(self, worker_ctx: Any) -> "Receiver":  # noqa: ARG002 - nameko's signature
        return self

    def post(self, event: Event[OrderCreated]) -> None:
        """Returns when the receiver has the order.

        Raises:
            Transient: no answer, or not now.
            Blocked: the address, the login or the certificate is wrong.
            Permanent: it refuses this order.
        """
        body = self._writer.body(event)
        headers = self._writer.headers(event, body, int(time.time()))
        timeouts = (self._settings.connect_timeout_s, self._settings.read_timeout_s)
        began = time.monotonic()
        try:
            with self._session.post(
                self._settings.url, data=body, headers=headers, timeout=timeouts, allow_redirects=False, stream=True
            ) as answer:
                status, retry_after = answer.status_code, answer.headers.get("Retry-After")
                _read_out(answer, began + self._settings.read_timeout_s)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise judge_failure(error) from None  # its text holds the URL
        judge(status, retry_after)


def _read_out(answer: requests.Response, deadline: float) -> None:
    """Leaves the connection fit for the next request. `close` drops one with more to come; the status stands anyway."""
    left = ANSWER_BYTES_MAX
    try:
        while left > 0 and time.monotonic() < deadline and (part := answer.raw.read1(left)):
            left -= len(part)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        log.debug("the answer's end is missing", error=type(error).__name__)


def encoded(secret: SecretStr | None) -> bytes | None:
    """As `marketing.book` takes the key: both make the same pseudonyms."""
    return secret.get_secret_value().encode() if secret is not None else None
