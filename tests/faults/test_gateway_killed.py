"""Gateways are killed under load: their customers repeat with their keys."""

import pytest

from .conftest import Run
from .crash import CrashPoint
from .killing import assert_survives_death
from .parts import Parts

SCENARIO = 1
PARTS = Parts(gateways=2, departments=("marketing",))

RATE = 60
RUNNER = "orders.store.postgresql:PostgresqlRunner.run"
CRASHES = {
    "before the commit": CrashPoint(RUNNER, "before"),
    "after the commit": CrashPoint(RUNNER, "after"),
    "before the answer": CrashPoint("orders.gateway.committer:GroupCommitter._settle", "before"),
    "before the wake-up": CrashPoint("orders.store.postgresql:PostgresqlRunner.wake_relay", "before"),
}


def test_gateway_killed_under_load(run: Run) -> None:
    """`kill -9` of a gateway under load"""
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(5, 60))
        run.rng.choice(run.shop.all("gateway")).kill()
        run.customers.wait_placed(30)
    run.assert_kept()


def test_both_gateways_killed_at_once(run: Run) -> None:
    """`kill -9` of both gateways at once under load"""
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(5, 40))
        for gateway in run.shop.all("gateway"):
            gateway.kill()
        run.customers.wait_placed(20)
    run.assert_kept()


@pytest.mark.runs_shared_by(len(CRASHES))
@pytest.mark.parametrize("point", CRASHES)
def test_gateway_killed_at_a_crash_point(run: Run, point: str) -> None:
    """`kill -9` of a gateway before the commit, after it, before the answer, before the relay is woken"""
    gateway = run.rng.choice(run.shop.all("gateway"))
    assert_survives_death(run, gateway, CRASHES[point], RATE, 6)
