"""The shop on SQLite: its one relay dies, and another process keeps its files locked."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from eventbus.testing.waiting import wait_until

from eventbus import database

from .conftest import Run
from .crash import CrashPoint
from .killing import assert_survives_death
from .parts import Parts

SCENARIO = 2
PARTS = Parts(gateways=1, departments=("marketing",), database="sqlite", settings={"relay": {"claim_rows": 20}})

RATE = 40
SETTLE = "orders.relay.outbox:SQLiteClaim.settle"
PUBLISH = "orders.relay.link:Link._publish"
CRASHES = {
    "claimed": CrashPoint("orders.relay.link:Link.send", "before"),
    "before publish": CrashPoint(PUBLISH, "before"),
    "half published": CrashPoint("orders.relay.link:_publish_row", "after"),
    "published": CrashPoint(PUBLISH, "after"),
    "at the confirm": CrashPoint("orders.relay.link:Link._on_ack_or_nack", "before"),
    "before removal": CrashPoint(SETTLE, "before"),
    "after removal": CrashPoint(SETTLE, "after"),
}


@pytest.mark.runs_shared_by(len(CRASHES))
@pytest.mark.parametrize("point", CRASHES)
def test_only_relay_killed_at_a_crash_point(run: Run, point: str) -> None:
    """SQLite: `kill -9` of the one relay at each of its crash points"""
    relay = run.shop.one("relay")
    assert_survives_death(run, relay, CRASHES[point], RATE, 4)


def test_only_gateway_and_relay_killed_at_random(run: Run) -> None:
    """SQLite: `kill -9` of the one gateway and the one relay at random moments"""
    with run.customers.placing(RATE):
        for _ in range(2):
            for kind in run.rng.sample(("gateway", "relay"), 2):
                run.customers.wait_placed(run.rng.randint(3, 20))
                run.shop.one(kind).kill()
        run.customers.wait_placed(5)
    run.assert_kept()


@pytest.mark.scenario(6)
@pytest.mark.runs_shared_by(2)
@pytest.mark.parametrize("service", ["orders", "marketing"])
def test_file_locked_by_another_process(run: Run, service: str) -> None:
    """SQLite: another process keeps a service's file locked for longer than anybody waits"""
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(5, 20))
        before = _refused(run, service)
        with _locked(run, service):
            wait_until(lambda: _refused(run, service) > before, 90, "it was given up at least once")
        run.customers.wait_placed(10)
    run.assert_kept()


def _refused(run: Run, service: str) -> float:
    """How often the lock has made somebody give up: a customer, or the department."""
    if service == "orders":
        return run.customers.answers["503"]
    return run.shop.one(service).metric("bus_events_retried_total")


@contextmanager
def _locked(run: Run, service: str) -> Iterator[None]:
    """Somebody else's write transaction on that service's file."""
    file = database.parse_url(run.shop.database_url(service)).database
    assert file is not None
    assert Path(file).exists()
    connection = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
