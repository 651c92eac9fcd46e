"""What the gateway counts. No order number and no name is in a label."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class GatewayMetrics:
    """The metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "gateway_requests", "HTTP requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._request_seconds = Histogram(
            "gateway_request_seconds",
            "From a request's head to the end of its answer",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "gateway_commit_seconds", "Duration of a commit of orders", buckets=_SECONDS, registry=self.registry
        )
        self.commit_orders = Histogram(
            "gateway_commit_orders",
            "Orders in a commit",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.commit_failures = Counter(
            "gateway_commit_failures", "Commits that failed", ["reason"], registry=self.registry
        )
        self.database_up = Gauge(
            "gateway_database_up", "1 while commits are expected to succeed", registry=self.registry
        )
        self._queued = Gauge("gateway_queued_orders", "Orders waiting for a commit", registry=self.registry)
        self._committing = Gauge("gateway_committing_orders", "Orders in the commit under way", registry=self.registry)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def watch_orders(self, queued: Callable[[], int], committing: Callable[[], int]) -> None:
        """Report what these tell when asked."""
        self._queued.set_function(queued)
        self._committing.set_function(committing)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        children = self._children.get(key)
        if children is None:
            children = self._children[key] = (
                self._requests.labels(method, route, str(status)),
                self._request_seconds.labels(method, route),
            )
        children[0].inc()
        children[1].observe(seconds)
