"""SAP goes away amid bookings: killed, standing still, or behind a network that cuts and swallows."""

from eventbus.testing.waiting import wait_until

from .conftest import Run
from .parts import Parts

SCENARIO = 7
READ_TIMEOUT_S, SETTLE_S = 1.0, 3
PARTS = Parts(
    gateways=1,
    departments=("sap_bridge",),
    workers={"sap_bridge": 2},
    sap_by_proxy=True,
    settings={
        "sap": {"read_timeout_s": READ_TIMEOUT_S, "look_up_timeout_s": READ_TIMEOUT_S, "settle_s": SETTLE_S},
    },
)
RATE = 20.0


def test_sap_killed_amid_bookings(run: Run) -> None:
    """`kill -9` of SAP amid bookings, again and again"""
    sandbox = run.shop.one("sandbox")
    with run.customers.placing(RATE):
        for _ in range(run.rng.randint(1, 3)):
            run.customers.wait_placed(run.rng.randint(3, 20))
            sandbox.kill_and_wait()
            sandbox.wait_ready()
    run.assert_kept()


def test_sap_stands_still(run: Run) -> None:
    """SAP stands still (SIGSTOP) for longer than a call may take, and books late what it was sent"""
    sandbox = run.shop.one("sandbox")
    timed_out = answers_missing(run)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(3, 20))
        sandbox.freeze()
        try:
            wait_until(lambda: answers_missing(run) > timed_out, 30, "a call is given up")
        finally:
            sandbox.resume()
        run.customers.wait_placed(10)
    run.assert_kept()


def answers_missing(run: Run) -> float:
    """Bookings that SAP did not answer, as the bridges count."""
    sample = 'sap_answers_total{call="create",status="None",verdict="unknown"}'
    return sum(bridge.metric(sample) for bridge in run.shop.all("sap_bridge"))


def test_connections_to_sap_are_cut(run: Run) -> None:
    """Connections to SAP reset amid bookings, or what is sent swallowed for a while"""
    proxy = run.shop.sap_proxy
    assert proxy is not None
    timed_out = answers_missing(run)
    with run.customers.placing(RATE):
        for _ in range(run.rng.randint(2, 6)):
            run.customers.wait_placed(run.rng.randint(1, 8))
            proxy.cut()
        proxy.swallow(requests=run.rng.random() < 0.5)
        try:
            wait_until(lambda: answers_missing(run) > timed_out, 30, "a call is given up")
        finally:
            proxy.pass_on()
        run.customers.wait_placed(10)
    run.assert_kept()
