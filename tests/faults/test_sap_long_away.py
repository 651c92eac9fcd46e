"""SAP is away for longer than anything is retried: nothing is parked, and all is booked once afterwards."""

import time

from eventbus.testing.waiting import wait_until

from .conftest import Run
from .parts import Parts

SCENARIO = 7
RETRY_FOR_S = 4.0
"""In place of 24 h. The tiers are as much shorter: that of an hour is 1 s."""
PARTS = Parts(
    gateways=1,
    departments=("sap_bridge",),
    workers={"sap_bridge": 2},
    database="sqlite",
    settings={"sap_bridge": {"retry_for_s": RETRY_FOR_S}, "sap": {"settle_s": 1}},
)


def test_sap_away_for_longer_than_orders_are_retried(run: Run) -> None:
    """SAP is away for longer than an order is retried, a bridge is killed meanwhile: nothing is parked"""
    sandbox, bridges = run.shop.one("sandbox"), run.shop.all("sap_bridge")
    try:
        with run.customers.placing(rate=20):
            wait_until(lambda: len(run.customers.accepted) > 10, 60, "orders under way")
            sandbox.end()
            before = len(run.customers.accepted)
            wait_until(lambda: len(run.customers.accepted) > before + 20, 60, "orders go on")
        paused = 'bus_paused{department="sap_bridge"}'
        wait_until(lambda: all(bridge.metric(paused) for bridge in bridges), 60, "both bridges pause")
        away_until = time.monotonic() + RETRY_FOR_S * run.rng.uniform(1.2, 2)
        run.customers.place(run.rng.randint(1, 10))
        wait_until(lambda: time.monotonic() > away_until, 60, "the time of retries is over")
        run.rng.choice(bridges).kill_and_wait()  # its successor does not know yet that SAP is away
        run.shop.wait_ready()
        wait_until(lambda: all(bridge.metric(paused) for bridge in bridges), 60, "both bridges pause")
        assert run.shop.broker.depth("sap_bridge.dead") == 0
    finally:
        sandbox.start().wait_ready()
    run.customers.place(5)
    run.assert_kept()
