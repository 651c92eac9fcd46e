"""The RabbitMQ of an instance: the one that `AMQP_URL` names, or a private node under the instance's folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from eventbus.operator.connection import connected
from eventbus.operator.errors import UnreachableError
from eventbus.operator.private_node import NodeStartError, PrivateNode, ServerNotFoundError
from progress import StepError

ANSWER_TIMEOUT_S = 10
_MANAGEMENT_PORT = 15672  # RabbitMQ's own default


@dataclass(frozen=True)
class Broker:
    amqp_url: str
    management_url: str | None
    node: PrivateNode | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {"AMQP_URL": self.amqp_url} | ({"MANAGEMENT_URL": self.management_url} if self.management_url else {})

    @property
    def console(self) -> str:
        """A line that says where the console is, with the login if it is only this instance's."""
        if self.management_url is None:
            return "RabbitMQ console: not found (MANAGEMENT_URL may name it)"
        url = urlsplit(self.management_url)
        login = f"  (user {url.username}, password {url.password})" if self.node else ""
        return f"RabbitMQ console: {url.scheme}://{url.hostname}:{url.port}/{login}"


def choose_broker(folder: Path, given: Mapping[str, str]) -> Broker:
    """The broker of this instance; a private one is prepared and not started.

    Raises:
        StepError: the one that `AMQP_URL` names does not answer, or RabbitMQ is not installed.
    """
    if amqp_url := given.get("AMQP_URL"):
        _check(amqp_url)
        return Broker(amqp_url, _management_url(amqp_url, given.get("MANAGEMENT_URL")))
    node = PrivateNode(folder)
    try:
        node.end_leftover()  # of a launcher and a supervisor that were both killed
        node.prepare()
    except ServerNotFoundError as error:
        raise StepError(f"{error}; or AMQP_URL=amqp://… to use a RabbitMQ that runs elsewhere") from error
    except NodeStartError as error:
        raise StepError(str(error)) from error
    return Broker(node.amqp_url, node.management_url, node)


def _check(amqp_url: str) -> None:
    try:
        with connected(amqp_url):
            pass
    except UnreachableError as error:
        raise StepError(str(error)) from error


def _management_url(amqp_url: str, named: str | None) -> str | None:
    """What `MANAGEMENT_URL` says, else the place where it usually is, if something answers there."""
    if named:
        return named.rstrip("/")
    url = urlsplit(amqp_url.split(",", maxsplit=1)[0])
    login = f"{url.username or 'guest'}:{url.password or 'guest'}"
    guess = f"http://{login}@{url.hostname or '127.0.0.1'}:{_MANAGEMENT_PORT}"
    try:
        return guess if requests.get(f"{guess}/api/whoami", timeout=ANSWER_TIMEOUT_S).ok else None
    except requests.RequestException:
        return None
