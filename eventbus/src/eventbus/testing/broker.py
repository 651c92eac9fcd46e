"""A virtual host of a test's own on a RabbitMQ node, and what a test does to it from outside."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

import pika

from eventbus import rights
from eventbus.contract import CONTENT_TYPE, Event
from eventbus.operator import connection, declare, users
from eventbus.operator.management import Management
from eventbus.operator.private_node import PrivateNode
from eventbus.testing.waiting import wait_until
from eventbus.topology import EVENTS, Topology, shared

Value = TypeVar("Value")

FAST_TIERS_S = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Lives of the retry tiers for tests; a department under test must be configured alike (`tier_seconds`)."""
SMALL_ARCHIVE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """Where a broker is that tests may use: URLs of an administrator."""

    amqp_url: str
    management_url: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a test took it from a queue."""

    body: bytes
    routing_key: str
    exchange: str
    properties: pika.BasicProperties

    @property
    def headers(self) -> Mapping[str, Any]:
        return self.properties.headers or {}


@contextmanager
def running_node() -> Iterator[Node]:
    """The broker that `TEST_AMQP_URL` and `TEST_MANAGEMENT_URL` name, or a private node.

    Raises:
        RuntimeError: only one of the two is set.
    """
    amqp_url, management_url = os.environ.get("TEST_AMQP_URL"), os.environ.get("TEST_MANAGEMENT_URL")
    if amqp_url and management_url:
        yield Node(amqp_url, management_url.rstrip("/"))
        return
    if amqp_url or management_url:
        raise RuntimeError("TEST_AMQP_URL and TEST_MANAGEMENT_URL: set both, or neither")
    with tempfile.TemporaryDirectory(prefix="order-bus-broker-") as folder, PrivateNode(Path(folder)) as node:
        yield Node(node.amqp_url, node.management_url)


class Broker:
    """A fresh virtual host. Its helpers use connections of their own, so a test may do anything to its own."""

    def __init__(self, node: Node) -> None:
        parts = urlsplit(node.amqp_url)
        self.vhost = f"test-{secrets.token_hex(6)}"
        self.amqp_url = parts._replace(path=f"/{quote(self.vhost, safe='')}").geturl()
        self.management_url = node.management_url
        self.management = Management(node.management_url, self.vhost)
        self._urls: dict[str, str] = {}
        self._rights: dict[str, rights.Rights] = {}

    @property
    def login(self) -> tuple[str, str]:
        """Name and password of the administrator."""
        parts = urlsplit(self.amqp_url)
        return unquote(parts.username or "guest"), unquote(parts.password or "guest")

    def __enter__(self) -> "Broker":
        self.management.create_vhost(self.login[0])
        return self

    def __exit__(self, *_: object) -> None:
        for user in self._urls:
            self.management.delete_login(f"{user}-{self.vhost}")
        self.management.delete_vhost()

    def url_of(self, user: str, own: rights.Rights | None = None) -> str:
        """The AMQP URL of a user of this virtual host with a service's rights and no other, made when first asked for.

        It is on the broker as `<user>-<virtual host>`, and goes with the virtual host.

        Args:
            user: a department's name, `orders` (the tracker), `orders-relay`, `bus-topology` or `bus-operator`.
            own: other rights than that service's, for a test about them.

        Raises:
            ValueError: there is no such user.
        """
        if user not in self._urls:
            name, password = f"{user}-{self.vhost}", users.new_password()
            self._rights[user] = own or rights.of(user)
            users.declare(self.management, name, self._rights[user], password)
            self._urls[user] = connection.as_user(self.amqp_url, name, password)
        return self._urls[user]

    def make_again(self) -> None:
        """Make the virtual host and the users of `url_of` again, with their passwords: the node has lost its data."""
        self.management.create_vhost(self.login[0])
        for user, url in self._urls.items():
            password = unquote(urlsplit(url).password or "")
            users.declare(self.management, f"{user}-{self.vhost}", self._rights[user], password)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A pika channel with publisher confirms."""
        with connection.connected(self.amqp_url) as link:
            channel = link.channel()
            channel.confirm_delivery()
            yield channel

    def declare(self, topology: Topology) -> None:
        """Declare the objects of `eventbus.topology.shared(…)` or `department(…)`."""
        with connection.connected(self.amqp_url) as link:
            declare.declare(link, topology)

    def declare_shared(self, tiers_s: tuple[float, ...] = FAST_TIERS_S) -> None:
        """Declare what all departments share, with short tiers and a small archive."""
        self.declare(shared(tiers_s, SMALL_ARCHIVE_BYTES))

    def publish(self, event: Event[Any], routing_key: str, headers: Mapping[str, Any] | None = None) -> None:
        """Publish an event on `events` as the relay does, confirmed. It must reach a queue."""
        self.publish_body(event.encode(), routing_key, headers=headers, message_id=event.id, type=event.type)

    def publish_all(self, events: Iterable[tuple[Event[Any], str]]) -> None:
        """Like `publish`, many events with their routing keys over one connection."""
        with self.channel() as channel:
            for event, routing_key in events:
                properties = pika.BasicProperties(
                    content_type=CONTENT_TYPE, delivery_mode=2, message_id=event.id, type=event.type
                )
                channel.basic_publish(EVENTS, routing_key, event.encode(), properties, mandatory=True)

    def publish_body(
        self,
        body: bytes,
        routing_key: str,
        *,
        exchange: str = EVENTS,
        content_type: str | None = CONTENT_TYPE,
        **rest: Any,
    ) -> None:
        """Publish any bytes, confirmed. `rest` are AMQP properties. Raises pika's UnroutableError and NackError."""
        properties = pika.BasicProperties(content_type=content_type, delivery_mode=2, **rest)
        with self.channel() as channel:
            channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)

    def get(self, queue: str) -> Message | None:
        """Take the first message out of the queue; None when nothing is ready."""
        with self.channel() as channel:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return None
            return Message(body, method.routing_key, method.exchange, properties)

    def take_all(self, queue: str) -> list[Message]:
        """Take all messages out of the queue that are ready now, in order."""
        taken = []
        with self.channel() as channel:
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                method, properties, body = got
                taken.append(Message(body, method.routing_key, method.exchange, properties))
        return taken

    def peek(self, queue: str) -> list[Message]:
        """What is ready in the queue, in order, left there. Raises the messages' delivery counts by one."""
        seen, tag = [], 0
        with self.channel() as channel:
            while True:
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    break
                tag = method.delivery_tag
                seen.append(Message(body, method.routing_key, method.exchange, properties))
            if tag:
                channel.basic_nack(tag, multiple=True, requeue=True)
        return seen

    def depth(self, queue: str) -> int:
        """How many messages are ready in the queue, now."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def consumers(self, queue: str) -> int:
        """How many consumers the queue has, now; 0 where there is no such queue."""
        if not self.has_queue(queue):
            return 0
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.consumer_count)

    def has_queue(self, queue: str) -> bool:
        """Whether there is such a queue."""
        return self.management.queue(queue) is not None

    def bindings(self, queue: str) -> set[tuple[str, str]]:
        """Exchange and routing key of each binding of the queue, but for the default exchange's."""
        return {
            (b["source"], b["routing_key"])
            for b in self.management.bindings()
            if b["destination"] == queue and b["destination_type"] == "queue" and b["source"]
        }

    def wait_for(self, condition: Callable[[], Value], deadline_s: float = 10.0, what: str = "") -> Value:
        """`eventbus.testing.wait_until`."""
        return wait_until(condition, deadline_s, what)

    def wait_message(self, queue: str, deadline_s: float = 10.0) -> Message:
        """Take the first message out of the queue as soon as there is one."""
        message = wait_until(lambda: self.get(queue), deadline_s, f"a message in {queue}")
        assert message is not None
        return message

    def tap(self, pattern: str = "#", exchange: str = EVENTS) -> str:
        """The name of a new queue that gets a copy of what matches from now on."""
        with self.channel() as channel:
            name = f"tap-{secrets.token_hex(4)}"
            channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind(name, exchange, pattern)
        return name
