"""The broker dies, hangs, raises an alarm or drops connections under load. Nobody is restarted for it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from eventbus.testing.rabbitmqctl import rabbitmqctl
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .links import (
    close_connections,
    connected,
    impatience,
    is_blocked,
    is_up,
    losses,
    no_restart,
    wait_each,
    wait_lost,
    wait_up,
)
from .parts import Parts
from .shop import Shop

SCENARIO = 4
PARTS = Parts(gateways=1, relays=2, departments=("sap_bridge", "marketing"))
RATE = 15
CONFIRM_TIMEOUT_S = 3  # as in parts.SHORT


@contextmanager
def under_load(run: Run) -> Iterator[None]:
    """Within the block orders are placed, some of them before; when it ends, so many more are accepted.

    A broker that is away stops no order.
    """
    with run.customers.placing(rate=RATE):
        wait_until(lambda: len(run.customers.accepted) > run.rng.randint(3, 20), 60, "orders under way")
        yield
        before = len(run.customers.accepted)
        wait_until(lambda: len(run.customers.accepted) >= before + 5, 60, "orders are accepted")


def assert_all_goes_on(run: Run) -> None:
    """Everything is connected, does its work, and has lost nothing."""
    wait_up(connected(run.shop))
    run.customers.place(5)
    run.assert_kept()


def kill(shop: Shop) -> None:
    shop.node.kill()


def stop(shop: Shop) -> None:
    shop.node.stop()


@pytest.mark.runs_shared_by(2)
@pytest.mark.parametrize("end", [kill, stop])
def test_broker_ended_and_started(run: Run, end: Callable[[Shop], None]) -> None:
    """Broker killed or stopped under load, and started again"""
    with no_restart(run.shop):
        try:
            with under_load(run):
                end(run.shop)
            wait_each(connected(run.shop), lambda program: not is_up(program), "noticed")
        finally:
            run.shop.node.start()
        assert_all_goes_on(run)


def test_broker_frozen_until_heartbeats_fail(run: Run) -> None:
    """Broker frozen (SIGSTOP) until heartbeats fail, then resumed"""
    with no_restart(run.shop):
        try:
            with under_load(run):
                run.shop.node.pause()
            wait_each(connected(run.shop), lambda program: not is_up(program), "gave the broker up")
        finally:
            run.shop.node.resume()
        assert_all_goes_on(run)


MEMORY = (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "0.6"))
DISK = (("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "50MB"))


@pytest.mark.runs_shared_by(2)
@pytest.mark.parametrize(("alarm", "end"), [MEMORY, DISK], ids=["memory", "disk"])
def test_broker_raises_an_alarm(run: Run, alarm: tuple[str, ...], end: tuple[str, ...]) -> None:
    """Memory or disk alarm: the broker blocks whoever publishes"""
    shop = run.shop
    with no_restart(shop):
        try:
            with under_load(run):
                before = {program.name: impatience(program) for program in connected(shop)}
                rabbitmqctl(shop.node, *alarm)
                raised_at = time.monotonic()
            wait_each(shop.all("relay")[:1], is_blocked, "is blocked")
            wait_until(lambda: time.monotonic() > raised_at + 2 * CONFIRM_TIMEOUT_S, 60, "longer than a confirm takes")
            assert {program.name: impatience(program) for program in connected(shop)} == before, "blocked is not broken"
        finally:
            rabbitmqctl(shop.node, *end)
        wait_each(connected(shop), lambda program: not is_blocked(program), "may publish again")
        assert_all_goes_on(run)


def test_operator_closes_connections(run: Run) -> None:
    """An operator closes all connections, twice"""
    shop = run.shop
    with no_restart(shop):
        for _ in range(2):
            before = {program.name: losses(program) for program in connected(shop)}
            with under_load(run):
                close_connections(shop)
            wait_lost(connected(shop), before)
            wait_up(connected(shop))
        assert_all_goes_on(run)
