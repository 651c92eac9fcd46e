"""The database is away: a quick 503 that can be retried, and orders again once it is back."""

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from eventbus.testing.postgresql import PostgreSQLServer
from orders.store import sqlite as sqlite_store


def assert_refused(response: Any, kind: str = "database-unavailable") -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"urn:order-bus:problem:{kind}"


def test_postgresql_away_and_back(
    start_gateway: Callable[..., Any], own_postgresql: PostgreSQLServer, rows: Callable[..., Any]
) -> None:
    own_postgresql.stop()
    gateway = start_gateway(own_postgresql.url())  # starts all the same
    assert_refused(gateway.post())
    assert_refused(gateway.client.get("/orders/7KQ2-M9XD-4TWE"))
    assert gateway.client.get("/readyz").status_code == 200
    assert gateway.client.get("/healthz").status_code == 200

    own_postgresql.start()
    gateway.wait_for_database()  # with the schema
    number = gateway.place()

    for end in (own_postgresql.stop, own_postgresql.kill):
        end()
        refused = [gateway.post(key=f"k-{attempt}") for attempt in range(3)]
        for response in refused:
            assert response.status_code == 503
        assert_refused(refused[-1])
        own_postgresql.start()
        gateway.wait_for_database()
        gateway.place()
        assert gateway.client.get(f"/orders/{number}").status_code == 200
    assert rows(own_postgresql.url(), "SELECT count(*) FROM orders") == [(3,)]


def test_postgresql_restarted_between_two_orders_costs_no_error(
    start_gateway: Callable[..., Any], own_postgresql: PostgreSQLServer
) -> None:
    gateway = start_gateway(own_postgresql.url()).wait_for_database()
    number = gateway.place()
    own_postgresql.stop()
    own_postgresql.start()
    assert gateway.client.get(f"/orders/{number}").status_code == 200
    assert gateway.post().status_code == 201


def test_sqlite_locked_for_long_refuses_then_recovers(
    start_gateway: Callable[..., Any], sqlite_url: str, monkeypatch: pytest.MonkeyPatch, rows: Callable[..., Any]
) -> None:
    monkeypatch.setattr(sqlite_store, "LOCK_WAIT_S", 0.3)
    gateway = start_gateway(sqlite_url).wait_for_database()
    number = gateway.place()
    blocker = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert_refused(gateway.post())
    assert gateway.client.get(f"/orders/{number}").status_code == 200  # reading goes on
    blocker.execute("ROLLBACK")
    blocker.close()
    gateway.wait_for_database()
    gateway.place()
    assert rows(sqlite_url, "SELECT count(*) FROM orders") == [(2,)]


def test_lost_schema_is_refused_and_made_again(
    start_gateway: Callable[..., Any], postgresql: str, rows: Callable[..., Any]
) -> None:
    gateway = start_gateway(postgresql).wait_for_database()
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    assert_refused(gateway.post())
    gateway.wait_for_database()
    gateway.place()
    assert rows(postgresql, "SELECT count(*) FROM outbox") == [(1,)]
