"""A link to the broker is half open: what is sent is lost, and nobody is told."""

import pytest
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .links import is_up, losses, no_restart, wait_each, wait_lost
from .parts import ALL_DEPARTMENTS, Parts

SCENARIO = 4
CONNECTED = ("relay", "tracker", *ALL_DEPARTMENTS)
PARTS = Parts(gateways=1, paper="folder", amqp_by_proxy=CONNECTED)
WAYS = ((True, True), (True, False), (False, True))
"""Whether requests and answers are swallowed: both, what goes to the broker, or what comes from it."""


@pytest.mark.runs_shared_by(len(CONNECTED))
@pytest.mark.parametrize("kind", CONNECTED)
def test_link_half_open(run: Run, kind: str, seed: int) -> None:
    """A connection half open: a proxy swallows packets, both ways or one"""
    shop, proxy = run.shop, run.shop.amqp_proxies[kind]
    requests, answers = WAYS[(seed + CONNECTED.index(kind)) % len(WAYS)]
    with no_restart(shop):
        before = {program.name: losses(program) for program in shop.all(kind)}
        try:
            with run.customers.placing(rate=10):
                wait_until(lambda: len(run.customers.accepted) > run.rng.randint(1, 8), 60, "orders under way")
                proxy.swallow(requests=requests, answers=answers)
            run.customers.place(2)
            wait_lost(shop.all(kind), before)
        finally:
            proxy.pass_on()
        wait_each(shop.all(kind), is_up, "is connected")
        run.customers.place(3)
        run.assert_kept()
