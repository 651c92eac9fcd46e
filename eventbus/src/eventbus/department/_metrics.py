"""What a department counts. No label names an order or a person."""

from prometheus_client import Counter, Gauge, Histogram

HANDLED = Counter("bus_events_handled_total", "Events that left the department's hands", ["department", "outcome"])
RETRIED = Counter("bus_events_retried_total", "Events sent to a retry tier", ["department", "tier"])
PARKED = Counter("bus_events_parked_total", "Events parked for a person", ["department", "reason_class"])
STALE = Counter("bus_stale_deliveries_total", "Outcomes whose connection was gone: redelivered", ["department"])
REFUSED = Counter(
    "bus_publish_refused_total", "Publishes that the broker nacked and that were repeated", ["department"]
)
HANDLER_SECONDS = Histogram(
    "bus_handler_seconds",
    "Time from handing an event to its handler until its outcome",
    ["department"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
IN_HAND = Gauge("bus_events_in_hand", "Deliveries not yet settled", ["department"])
LINK_UP = Gauge("bus_link_up", "Whether the connection to the broker stands", ["department"])
GENERATION = Gauge("bus_link_generation", "Connections to the broker since the start", ["department"])
PUBLISHER_BLOCKED = Gauge("bus_publisher_blocked", "Whether the broker blocks publishing (an alarm)", ["department"])
PAUSED = Gauge("bus_paused", "Whether the breaker keeps events from the target", ["department"])
HUB_LAG_SECONDS = Gauge("bus_hub_lag_seconds", "How late a greenlet woke that slept for 0.1 s", ["department"])
