"""What the relay needs of the broker beside its link: connection parameters, and the shared objects."""

import copy

import pika
from eventbus.logs import get_logger
from eventbus.operator import declare
from eventbus.operator.errors import OperatorError, RefusedError
from eventbus.topology import Topology
from pika.exceptions import AMQPError

from eventbus import topology
from orders.relay.settings import RelaySettings

CONNECT_TIMEOUT_S = 5.0
DECLARE_TIMEOUT_S = 30.0
"""With a host of the cluster away a declaration was seen to take 25 s."""

log = get_logger(__name__)


def parameters(url: str, *, heartbeat_s: int) -> pika.URLParameters:
    """The parameters of one host. What the URL says itself (`?heartbeat=30`) wins."""
    host = pika.URLParameters(url)
    if "heartbeat=" not in url:
        host.heartbeat = heartbeat_s
    host.socket_timeout = host.stack_timeout = CONNECT_TIMEOUT_S
    host.client_properties = {"connection_name": "orders relay"}
    return host


def shared(settings: RelaySettings) -> Topology:
    """The objects that all services share."""
    tier_1, tier_2, tier_3, tier_4, tier_5 = settings.tier_seconds
    return topology.shared((tier_1, tier_2, tier_3, tier_4, tier_5), settings.archive_bytes_max)


def ensure(host: pika.URLParameters, wanted: Topology) -> Exception | None:
    """Declare what is missing, over a connection of its own that blocks. Never in the main thread.

    None where everything stands, and where something is missing that this user may not declare: then the link finds
    out whether the exchange is there.
    """
    own = copy.copy(host)
    own.blocked_connection_timeout = DECLARE_TIMEOUT_S
    try:
        with pika.BlockingConnection(own) as connection:
            steps = declare.ensure(connection, wanted)
            if declared := [step.object for step in steps if step.happened == "declared"]:
                log.info("declared what was missing", objects=len(declared), of=len(steps))
    except RefusedError as error:
        log.warning("topology is incomplete", reason=str(error))
    except (AMQPError, OperatorError, OSError) as error:
        return error
    return None
