"""What the relay needs of the broker beside its link: connection parameters, and the shared objects."""

import copy
from collections.abc import Callable

import pika
from eventbus.logs import get_logger
from eventbus.operator import declare
from eventbus.operator.connection import trust
from eventbus.operator.errors import OperatorError, RefusedError
from eventbus.topology import Topology
from pika.exceptions import AMQPError

from eventbus import topology
from orders.relay.settings import RelaySettings

CONNECT_TIMEOUT_S = 5.0
DECLARE_TIMEOUT_S = 30.0
"""With a host of the cluster away a declaration was seen to take 25 s."""

log = get_logger(__name__)


def parameters(url: str, *, heartbeat_s: int, ca: str | None) -> pika.URLParameters:
    """The parameters of one host. What the URL says itself (`?heartbeat=30`) wins.

    Args:
        url: `amqp://` or `amqps://`
        heartbeat_s: seconds.
        ca: file with the CA that an `amqps` host's certificate is checked against; None: the machine's own.
    """
    host = pika.URLParameters(url)
    if "heartbeat=" not in url:
        host.heartbeat = heartbeat_s
    if ca is not None and "ssl_options=" not in url:
        trust(host, ca)
    host.socket_timeout = host.stack_timeout = CONNECT_TIMEOUT_S
    host.client_properties = {"connection_name": "orders relay"}
    return host


class SharedTopology:
    """The objects that all services share. Its methods block: never in the main thread."""

    def __init__(self, settings: RelaySettings) -> None:
        tier_1, tier_2, tier_3, tier_4, tier_5 = settings.tier_seconds
        self._wanted = topology.shared((tier_1, tier_2, tier_3, tier_4, tier_5), settings.archive_bytes_max)
        self._told: set[str] = set()

    def ensure(self, host: pika.URLParameters) -> Exception | None:
        """Declare what is missing, over a connection of its own.

        None where everything stands, and where something is missing that this user may not declare: then the link
        finds out whether the exchange is there.
        """
        return self._over_own_connection(host, self._declare_missing)

    def mend(self, host: pika.URLParameters) -> None:
        """Declare what is missing, and bind everything again, which AMQP cannot ask for. What fails is logged."""

        def declare_and_bind(connection: pika.BlockingConnection) -> None:
            self._declare_missing(connection)
            self._bind_again(connection)

        if (error := self._over_own_connection(host, declare_and_bind)) is not None:
            log.warning("topology is not mended", reason=f"{type(error).__name__}: {error}")

    def _over_own_connection(
        self, host: pika.URLParameters, action: Callable[[pika.BlockingConnection], None]
    ) -> Exception | None:
        own = copy.copy(host)
        own.blocked_connection_timeout = DECLARE_TIMEOUT_S
        try:
            with pika.BlockingConnection(own) as connection:
                action(connection)
        except (AMQPError, OperatorError, OSError) as error:
            return error
        return None

    def _declare_missing(self, connection: pika.BlockingConnection) -> None:
        try:
            steps = declare.ensure(connection, self._wanted)
        except RefusedError as error:
            self._tell(str(error))
            return
        if declared := [step.object for step in steps if step.happened == "declared"]:
            log.info("declared what was missing", objects=len(declared), of=len(steps))

    def _bind_again(self, connection: pika.BlockingConnection) -> None:
        refused = []
        for binding in self._wanted.bindings:
            try:
                declare.declare(connection, Topology(bindings=(binding,)))
            except RefusedError:
                refused.append(binding.queue)
        if refused:
            self._tell(f"may not bind {', '.join(refused)}, which all share: run bus topology declare")
        else:
            log.info("bound again what all share", bindings=len(self._wanted.bindings))

    def _tell(self, reason: str) -> None:
        if reason not in self._told:  # one line, not one for each attempt
            self._told.add(reason)
            log.warning("topology is incomplete", reason=reason)
