"""Everything is restarted by SIGTERM under load, as in a deployment: nobody outside notices."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from eventbus.testing.waiting import wait_until

from .conftest import Run
from .customers import Customers
from .parts import ALL_DEPARTMENTS, Parts
from .program import Program
from .shop import Shop

SCENARIO = 10
POLL_S = 0.1
DEADLINE_S = 120
UNREADY_S = 3
"""A gateway says so long that it leaves: many polls, also on a machine that is busy."""
_DRAIN = {"drain_s": 60}
DRAINING: dict[str, dict[str, Any]] = {
    "gateway": {"unready_s": UNREADY_S, **_DRAIN},
    **dict.fromkeys(("relay", "tracker", *ALL_DEPARTMENTS), _DRAIN),
}
"""Settings: a machine that is busy with many tests takes long for what is in hand."""
PARTS = Parts(
    gateways=2,
    relays=2,
    departments=("sap_bridge", "marketing"),
    workers={"sap_bridge": 2, "marketing": 2, "tracker": 2},
    settings=DRAINING,
)
RATE = 4
KINDS = ("gateway", "relay", "tracker", "sap_bridge", "marketing")
QUEUES = ("orders", "sap_bridge", "marketing")


class LoadBalancer:
    """Sends customers to those gateways alone whose `/readyz` said yes when it was last asked."""

    def __init__(self, gateways: list[Program]) -> None:
        self._gateways = gateways
        self._stop = threading.Event()
        self.ready = [gateway.url for gateway in gateways]

    @contextmanager
    def polling(self) -> Iterator["LoadBalancer"]:
        thread = threading.Thread(target=self._poll, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _poll(self) -> None:
        while not self._stop.wait(POLL_S):
            self.ready = [gateway.url for gateway in self._gateways if gateway.is_ready()]


def redelivered(shop: Shop) -> dict[str, int]:
    """How many deliveries of each department's queue were not the message's first, as the broker counts."""
    counts = {}
    for name in QUEUES:
        queue = shop.broker.management.queue(name)
        assert queue is not None
        counts[name] = int(queue.get("message_stats", {}).get("redeliver", 0))
    return counts


def restart_one_of_each(shop: Shop, number: int) -> None:
    """The first, or the second, of each kind at the same time; returns when they do their work."""

    def restart(program: Program) -> None:
        code, _ = program.stop()
        assert code == 0, f"{program.name} ended with {code}\n{program.log_tail()}"
        program.start().wait_ready()

    programs = [shop.all(kind)[number] for kind in KINDS]
    with ThreadPoolExecutor(len(programs)) as pool:
        list(pool.map(restart, programs))


def assert_unnoticed(run: Run, customers: Customers, redelivered_before: dict[str, int]) -> None:
    """No customer saw a failure, and no event was published or delivered twice."""
    assert customers.answers.keys() == {"201"}, customers.answers
    counted = run.assert_kept()
    assert counted.repeats == 0
    assert redelivered(run.shop) == redelivered_before


def test_rolling_restart_of_everything(run: Run) -> None:
    """Rolling restart of everything by SIGTERM under load"""
    shop, customers = run.shop, run.customers
    before = redelivered(shop)
    with LoadBalancer(shop.all("gateway")).polling() as balancer:
        customers.send_to(lambda: balancer.ready)
        with customers.placing(RATE):
            wait_accepted(customers, run.rng.randint(5, 30))
            for number in run.rng.sample([0, 1], 2):
                restart_one_of_each(shop, number)
                placed = len(customers.accepted)
                wait_accepted(customers, placed + 10)
    assert_unnoticed(run, customers, before)


def test_restart_while_retries_are_under_way(run: Run) -> None:
    """Restart of all departments by SIGTERM while SAP's failures wait in the retry tiers"""
    shop, customers = run.shop, run.customers
    before = redelivered(shop)
    rule = shop.sap.add_fault({"fault": "lock", "probability": 0.4})
    try:
        with customers.placing(RATE):
            wait_until(lambda: fired(shop, rule["id"]) >= 10, DEADLINE_S, "retries are under way")
            for number in run.rng.sample([0, 1], 2):
                restart_one_of_each(shop, number)
            fired_before = fired(shop, rule["id"])
            wait_until(lambda: fired(shop, rule["id"]) >= fired_before + 5, DEADLINE_S, "they fail on")
    finally:
        shop.sap.clear_faults()
    run.assert_kept()
    assert redelivered(shop) == before


def wait_accepted(customers: Customers, count: int) -> None:
    wait_until(lambda: len(customers.accepted) >= count, DEADLINE_S, "orders go on")


def fired(shop: Shop, rule_id: int) -> int:
    """How many calls of SAP that fault has met."""
    return next(int(rule["fired"]) for rule in shop.sap.faults() if rule["id"] == rule_id)
