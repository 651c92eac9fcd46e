"""A gateway is killed under load: its customers repeat with their keys."""

from eventbus.testing.waiting import wait_until

from .conftest import Run
from .parts import Parts

SCENARIO = 1
PARTS = Parts(gateways=2, departments=("marketing",))


def test_gateway_killed_under_load(run: Run) -> None:
    """`kill -9` of a gateway under load"""
    with run.customers.placing(rate=60):
        wait_until(lambda: len(run.customers.accepted) > run.rng.randint(5, 60), 60, "orders under way")
        run.rng.choice(run.shop.all("gateway")).kill()
        before = len(run.customers.accepted)
        wait_until(lambda: len(run.customers.accepted) > before + 30, 60, "orders go on")
    run.assert_kept()
