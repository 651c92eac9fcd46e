"""What a shop of a scenario consists of, and how it is set: all times short."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES

ALL_DEPARTMENTS = ("sap_bridge", "marketing", "printer")


@dataclass(frozen=True)
class Parts:
    """The processes of a shop.

    Args:
        gateways, relays: how many of each.
        departments: names of services; each has a database of its own.
        workers: how many processes of a department, or of the tracker, `{"printer": 2}`; one where nothing is said.
        database: `postgresql`, or `sqlite`.
        nodes: of RabbitMQ, 1 or 3: a cluster, `shop.cluster`.
        node_settings: more lines of rabbitmq.conf.
        amqp_by_proxy: programs (names without number) whose connections to the broker go each through a proxy of its
            own, `shop.amqp_proxies["printer"]`.
        database_by_proxy: those whose connections to PostgreSQL go through `shop.database_proxy`.
        paper: `ipp`, a printer, or `folder`.
        sap_by_proxy, printer_by_proxy: through `shop.sap_proxy`, `shop.printer_proxy`.
        settings: over the short ones below, by the program's name without number: `{"relay": {"poll_s": 0.1}}`.
    """

    gateways: int = 2
    relays: int = 1
    departments: tuple[str, ...] = ALL_DEPARTMENTS
    workers: Mapping[str, int] = field(default_factory=dict)
    database: str = "postgresql"
    nodes: int = 1
    node_settings: Mapping[str, object] = field(default_factory=dict)
    amqp_by_proxy: tuple[str, ...] = ()
    database_by_proxy: tuple[str, ...] = ()
    paper: str = "ipp"
    sap_by_proxy: bool = False
    printer_by_proxy: bool = False
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_BUS = {"tier_seconds": list(FAST_TIERS_S), "archive_bytes_max": SMALL_ARCHIVE_BYTES, "heartbeat_s": 2}
_DEPARTMENT = _BUS | {"confirm_timeout_s": 3, "breaker_open_s": 0.5, "breaker_open_max_s": 1}
SHORT: Mapping[str, Mapping[str, Any]] = {
    "gateway": {"access_log": False},
    "relay": _BUS | {"confirm_timeout_s": 3, "progress_timeout_s": 6, "idle_in_transaction_s": 3, "poll_s": 0.2},
    "tracker": _BUS | {"confirm_timeout_s": 3},
    "marketing": _DEPARTMENT,
    "printer": _DEPARTMENT,
    "sap_bridge": _DEPARTMENT,
    "sap": {"settle_s": 2, "read_timeout_s": 3, "look_up_timeout_s": 3, "connect_timeout_s": 2},
    "sandbox": {"latency_median_ms": 10, "latency_sigma": 0.5, "read_latency_median_ms": 1},
}
