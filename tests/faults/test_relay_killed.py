"""Relays die, or stand still, with events in their hands. Three run side by side; marketing drops the copies."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from eventbus.testing.waiting import wait_until

from eventbus import database

from .conftest import Run
from .crash import CrashPoint
from .killing import assert_survives_death
from .parts import Parts
from .program import Program
from .shop import Shop

SCENARIO = 2
RELAYS = 3
PARTS = Parts(gateways=2, relays=RELAYS, departments=("marketing",), settings={"relay": {"claim_rows": 20}})

SEND = "orders.relay.link:Link.send"
PUBLISH = "orders.relay.link:Link._publish"
DELETE = "orders.relay.outbox:PostgreSQLOutbox.delete"
CRASHES = {
    "claimed": CrashPoint(SEND, "before"),
    "before publish": CrashPoint(PUBLISH, "before"),
    "half published": CrashPoint("orders.relay.link:_publish_row", "after"),
    "published": CrashPoint(PUBLISH, "after"),
    "at the confirm": CrashPoint("orders.relay.link:Link._on_ack_or_nack", "before"),
    "before removal": CrashPoint(DELETE, "before"),
    "after removal": CrashPoint(DELETE, "after"),
}
FREEZES = {"claimed": SEND, "before publish": PUBLISH, "before removal": DELETE}
RATE = 60


@pytest.mark.runs_shared_by(len(CRASHES))
@pytest.mark.parametrize("point", CRASHES)
def test_relay_killed_at_a_crash_point(run: Run, point: str) -> None:
    """`kill -9` of a relay at each of its crash points, two others beside it"""
    relay = run.rng.choice(run.shop.all("relay"))
    assert_survives_death(run, relay, CRASHES[point], RATE, 3)


def test_relays_killed_at_random(run: Run) -> None:
    """`kill -9` of relays at random moments, all of them at once among them"""
    with run.customers.placing(RATE):
        for count in (1, 2, RELAYS):
            run.customers.wait_placed(run.rng.randint(5, 25))
            for relay in run.rng.sample(run.shop.all("relay"), count):
                relay.kill()
    run.assert_kept()


@pytest.mark.runs_shared_by(len(FREEZES))
@pytest.mark.parametrize("point", FREEZES)
def test_relay_frozen_with_rows_in_its_hands(run: Run, point: str) -> None:
    """A relay frozen between two steps, resumed later: the others send its rows when its session times out"""
    relay = run.rng.choice(run.shop.all("relay"))
    crash = CrashPoint(FREEZES[point], "before", call=run.rng.randint(1, 3), signal="STOP")
    relay.restart(crash=crash).wait_ready()
    try:
        with run.customers.placing(RATE):
            wait_until(lambda: _stands_still(relay), 60, f"{relay.name} froze: {point}")
        wait_until(lambda: idle_sessions(run.shop) > 0, 30, "its session holds rows")
        wait_until(lambda: unsent(run.shop) == 0, 60, "the other relays have sent everything")
        assert _stands_still(relay)
    finally:
        relay.resume()
    run.assert_kept()


def test_relay_frozen_at_random(run: Run) -> None:
    """A relay frozen at a random moment under load, resumed later"""
    relay = run.rng.choice(run.shop.all("relay"))
    try:
        with run.customers.placing(RATE):
            run.customers.wait_placed(run.rng.randint(5, 30))
            relay.freeze()
            run.customers.wait_placed(30)
        wait_until(lambda: unsent(run.shop) == 0, 60, "the other relays have sent everything")
        assert _stands_still(relay)
    finally:
        relay.resume()
    run.assert_kept()


def unsent(shop: Shop) -> int:
    """Rows of the outbox."""
    return _scalar(shop, "SELECT count(*) FROM outbox")


def idle_sessions(shop: Shop) -> int:
    """Sessions of relays that have had a transaction open for a second without doing anything in it."""
    return _scalar(
        shop,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders relay'"
        " AND state = 'idle in transaction' AND now() - state_change > interval '1 second'",
    )


def _scalar(shop: Shop, statement: str) -> int:
    engine = database.create_engine(shop.database_url("orders"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(statement)) or 0)


def _stands_still(program: Program) -> bool:
    state = Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"
