"""The broker closes a channel or cancels a consumer; an operator deletes queues and exchanges. Nobody is restarted."""

import pytest
from eventbus.testing.rabbitmqctl import rabbitmqctl
from eventbus.testing.waiting import wait_until
from eventbus.topology import DEAD, EVENTS, TIER_NAMES, dead_queue

from .conftest import Run
from .links import close_connections, connected, is_up, losses, no_restart, wait_each, wait_lost, wait_up
from .parts import Parts
from .shop import Shop

SCENARIO = 4
PARTS = Parts(gateways=1, relays=2, departments=("sap_bridge", "marketing"))
RATE = 15
DEADLINE_S = 60


def assert_all_goes_on(run: Run) -> None:
    """Everything is connected, does its work, and has lost nothing."""
    wait_up(connected(run.shop))
    run.customers.place(5)
    run.assert_kept()


@pytest.mark.runs_shared_by(3)
@pytest.mark.parametrize("queue", ["sap_bridge", "marketing", "orders"])
def test_queue_deleted(run: Run, queue: str) -> None:
    """An operator deletes a department's queues: its consumer is cancelled"""
    broker = run.shop.broker
    run.customers.place(3)
    run.assert_kept()  # what the queue holds is outside the promise: nothing
    bindings = broker.bindings(queue)
    with no_restart(run.shop):
        with broker.channel() as channel:
            for name in (dead_queue(queue), queue):
                channel.queue_delete(name)
        wait_until(lambda: broker.consumers(queue), DEADLINE_S, f"{queue} is consumed again")
        assert broker.bindings(queue) == bindings
        assert broker.bindings(dead_queue(queue)) == {(DEAD, queue)}
        assert_all_goes_on(run)


def test_events_deleted(run: Run) -> None:
    """An operator deletes the exchange `events` under load, and declares it again"""
    shop, broker = run.shop, run.shop.broker
    before = {program.name: losses(program) for program in connected(shop)}
    with no_restart(shop):
        with run.customers.placing(rate=RATE):
            wait_until(lambda: len(run.customers.accepted) > run.rng.randint(3, 20), 60, "orders under way")
            with broker.channel() as channel:
                channel.exchange_delete(EVENTS)
            run.customers.wait_placed(5)
        # declared again at once it could miss reports: who had not noticed publishes before the tracker has bound
        wait_lost(connected(shop), before)
        declare_again(shop)
        assert_all_goes_on(run)


def test_retry_tiers_deleted(run: Run) -> None:
    """An operator deletes all retry tiers while SAP refuses orders, and declares them again"""
    shop, broker = run.shop, run.shop.broker
    with no_restart(shop):
        with broker.channel() as channel:
            for name in TIER_NAMES:
                channel.exchange_delete(name)
                channel.queue_delete(name)
        try:
            shop.sap.add_fault({"fault": "503"})
            run.customers.place(10)
            wait_each(shop.all("sap_bridge"), lambda bridge: not is_up(bridge), "misses the tiers")
            declare_again(shop)
            wait_until(lambda: shop.one("sap_bridge").metric("bus_events_retried_total"), DEADLINE_S, "retries")
        finally:
            shop.sap.clear_faults()
        assert_all_goes_on(run)


def test_channel_closed_by_the_broker(run: Run) -> None:
    """The broker closes channels whose consumer is slow to acknowledge, redelivering what is under way"""
    shop = run.shop
    with no_restart(shop):
        try:
            consumer_timeout(shop, milliseconds=1500, look_every=200)
            shop.sap.add_fault({"fault": "commit-then-delay", "seconds": 2.5, "count": 6})
            run.customers.place(20)
            wait_until(lambda: timed_out(shop), DEADLINE_S, "the broker closes a channel")
        finally:
            shop.sap.clear_faults()
            consumer_timeout(shop, milliseconds=1_800_000, look_every=60_000)
        assert_all_goes_on(run)


def consumer_timeout(shop: Shop, *, milliseconds: int, look_every: int) -> None:
    """How long a delivery may stay unacknowledged; true for channels opened from now on."""
    rabbitmqctl(
        shop.node,
        "eval",
        f"application:set_env(rabbit, consumer_timeout, {milliseconds}),"
        f" application:set_env(rabbit, channel_tick_interval, {look_every}).",
    )
    close_connections(shop)
    wait_up(connected(shop))


def timed_out(shop: Shop) -> bool:
    return "delivery acknowledgement on channel" in shop.one("sap_bridge").output()


def declare_again(shop: Shop) -> None:
    """As `bus topology declare` does; the probe, which nobody runs, is bound again as well."""
    shop.broker.declare_shared()
    with shop.broker.channel() as channel:
        channel.queue_bind(shop.probe, EVENTS, "order.created.*")
