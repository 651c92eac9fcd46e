"""The orders database and those of the departments: away, killed, frozen, cut off in the middle of a commit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from eventbus.testing.postgresql import PostgreSQLServer
from eventbus.testing.waiting import wait_until

from eventbus import database

from .conftest import Run
from .parts import ALL_DEPARTMENTS, Parts
from .proxy import Proxy
from .shop import Shop

SCENARIO = 6
PARTS = Parts(gateways=2, relays=2, paper="folder", database_by_proxy=("gateway", "relay", "tracker", *ALL_DEPARTMENTS))

RATE = 8
"""A printer of tests takes a second or more for a page."""
AWAY_S = 3.0
LONG_AWAY_S = 30.0
LONG_FROM_SEED = 20
"""The half minute that a real restart takes is for those who have the patience: `--runs 20`."""
COMMITS = {
    "gateway": (b"orders gateway", b'"request_hash"'),  # of its parameter: the statement is prepared, and sent no more
    "relay": (b"orders relay", b"COMMIT"),
    "tracker": (b"application_name\0orders\0", b"COMMIT"),
    **{name: (f"application_name\0{name}\0".encode(), b"COMMIT") for name in ALL_DEPARTMENTS},
}


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.runs_shared_by(2)
def test_database_away_and_back(run: Run, how: str, seed: int) -> None:
    """PostgreSQL stopped or killed under load, back after a while"""
    server = _server(run.shop)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(2, 8))
        server.stop() if how == "stop" else server.kill()
        try:
            wait_until(lambda: run.customers.answers["503"] > 0, 60, "customers are told to try again")
            threading.Event().wait(LONG_AWAY_S if seed >= LONG_FROM_SEED else AWAY_S)
        finally:
            server.start()
        run.customers.wait_placed(4)
    run.assert_kept()


def test_database_frozen_and_resumed(run: Run) -> None:
    """PostgreSQL frozen under load, resumed later"""
    server = _server(run.shop)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(2, 8))
        server.freeze()
        try:
            wait_until(lambda: run.customers.answers["503"] > 0, 60, "customers are told to try again")
        finally:
            server.resume()
        run.customers.wait_placed(4)
    run.assert_kept()


@pytest.mark.runs_shared_by(2 * len(COMMITS))
@pytest.mark.parametrize("arrives", [False, True], ids=["before it arrives", "after it arrived"])
@pytest.mark.parametrize("program", COMMITS)
def test_connection_cut_in_a_commit(run: Run, program: str, arrives: bool) -> None:
    """A connection to the database cut in the middle of a commit, before it arrives and after"""
    among, pattern = COMMITS[program]
    cut = _proxy(run.shop).cut_at(pattern, arrives=arrives, skip=run.rng.randint(0, 3), among=among)
    with run.customers.placing(RATE):
        wait_until(cut.is_set, 60, f"a commit of {program} came by")
        run.customers.wait_placed(2)
    run.assert_kept()


def test_all_connections_cut_again_and_again(run: Run) -> None:
    """All connections to the database cut, again and again"""
    with run.customers.placing(RATE):
        for _ in range(5):
            run.customers.wait_placed(run.rng.randint(1, 4))
            _proxy(run.shop).cut()
    run.assert_kept()


@pytest.mark.parametrize("ends", ["commits", "rolls back"])
@pytest.mark.runs_shared_by(2)
def test_row_of_a_batch_conflicts_with_an_open_transaction(run: Run, ends: str) -> None:
    """A row of a gateway's batch conflicts with somebody's open transaction, which commits or rolls back"""
    key = f"{run.customers.token}-conflict"
    foreign = database.create_engine(run.shop.database_url("orders"), poolclass=sa.NullPool)
    with foreign.connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO orders (number, customer_name, product_ids, region, created_at, idempotency_key,"
                " request_hash) VALUES (:number, 'Nobody', '[1]', 'north', now(), :key, '')"
            ),
            {"number": f"{run.rng.getrandbits(48):012X}", "key": key},
        )
        with ThreadPoolExecutor(1) as pool, run.customers.placing(RATE):
            run.customers.wait_placed(run.rng.randint(1, 5))
            stuck = pool.submit(run.customers.place_one, key)
            wait_until(lambda: _waits_for_a_lock(run.shop), 30, "a batch waits for the row")
            if run.rng.random() < 0.5:  # longer than lock_timeout and than a request waits
                wait_until(lambda: run.customers.answers["503"] > 0, 30, "customers are told to try again")
            connection.commit() if ends == "commits" else connection.rollback()
            run.customers.wait_placed(4)
            if ends == "commits":
                with pytest.raises(AssertionError, match="422"):
                    stuck.result(60)
            else:
                stuck.result(60)
    with foreign.begin() as connection:  # it is no order of these customers
        connection.execute(sa.text("DELETE FROM orders WHERE customer_name = 'Nobody'"))
    run.assert_kept()


def _waits_for_a_lock(shop: Shop) -> bool:
    engine = database.create_engine(shop.database_url("orders"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return bool(
            connection.scalar(
                sa.text(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = 'orders gateway' AND wait_event_type = 'Lock'"
                )
            )
        )


def _server(shop: Shop) -> PostgreSQLServer:
    assert shop.server is not None
    return shop.server


def _proxy(shop: Shop) -> Proxy:
    assert shop.database_proxy is not None
    return shop.database_proxy
