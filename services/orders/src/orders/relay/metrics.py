"""What the relay counts, for Prometheus."""

import json
import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from eventbus.contract import parse_rfc3339
from eventbus.logs import get_logger
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, PlatformCollector
from prometheus_client import ProcessCollector as ProcessMetrics
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orders.relay.outbox import Backlog

BACKLOG_FRESH_S = 5.0
"""Counting the rows of a long outbox is work for the database: however often somebody asks, once in this time."""

log = get_logger(__name__)


class RelayMetrics:
    """One set a process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessMetrics(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.published = Counter("relay_published", "Events that the broker confirmed", registry=self.registry)
        self.nacked = Counter("relay_nacked", "Events that the broker refused; they stay", registry=self.registry)
        self.returned = Counter(
            "relay_returned", "Events that no queue is bound for; they stay", registry=self.registry
        )
        self.claims = Counter("relay_claims", "Claims that had rows", registry=self.registry)
        self.confirm_seconds = Histogram(
            "relay_confirm_seconds",
            "From a claim's first message to its last confirm",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
            registry=self.registry,
        )
        self.link_up = Gauge("relay_link_up", "Whether the broker takes our messages", registry=self.registry)
        self.link_blocked = Gauge("relay_link_blocked", "Whether an alarm of the broker blocks", registry=self.registry)
        self.links_lost = Counter("relay_links_lost", "Connections that ended unasked", registry=self.registry)
        self.held_keys = Gauge("relay_held_keys", "Routing keys that the broker refuses", registry=self.registry)

    def watch_backlog(self, backlog: Callable[[], Backlog]) -> None:
        """Report the outbox as well."""
        self.registry.register(_BacklogCollector(backlog))


class _BacklogCollector(Collector):
    """Asks the database when it is asked itself. While the database is away both values are absent."""

    def __init__(self, backlog: Callable[[], Backlog]) -> None:
        self._backlog = backlog
        self._asked_at = float("-inf")
        self._last: Backlog | None = None

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # registering must not ask the database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = time.monotonic()
        if now - self._asked_at >= BACKLOG_FRESH_S:
            self._asked_at = now
            try:
                self._last = self._backlog()
            except sa.exc.SQLAlchemyError as error:
                self._last = None
                log.debug("backlog unknown", reason=type(error).__name__)
        if self._last is not None:
            yield GaugeMetricFamily("outbox_rows", "Events not sent yet", value=self._last.rows)
            yield GaugeMetricFamily(
                "outbox_oldest_age_seconds", "Age of the oldest event not sent yet", value=_age_s(self._last)
            )


def _age_s(backlog: Backlog) -> float:
    if backlog.oldest_body is None:
        return 0.0
    created_at = parse_rfc3339(json.loads(backlog.oldest_body)["time"])
    return max(0.0, time.time() - created_at.timestamp())
