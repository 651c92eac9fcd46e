"""Concurrent requests share a commit. Counted, not timed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from eventbus.testing.waiting import wait_until
from orders.gateway import committer as committing

from eventbus import database

ORDER = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "north"}


@contextmanager
def commits_held(url: str) -> Iterator[None]:
    """Nothing can be stored in that database until the block ends."""
    engine = database.create_engine(url)
    with engine.connect() as connection, connection.begin():  # on SQLite, beginning takes the write lock
        if not database.is_sqlite(engine):
            connection.exec_driver_sql("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        yield
    engine.dispose()


@contextmanager
def statements(of: str) -> Iterator[list[str]]:
    """The statements of this process that contain that text."""
    seen: list[str] = []

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if of in statement:
            seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", executed)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", executed)


@pytest.mark.parametrize("held", [1, 32, 256])
def test_requests_that_wait_together_share_one_commit(
    gateway: Any, post_many: Callable[..., Any], rows: Callable[..., Any], held: int
) -> None:
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.extend(post_many(gateway, [(ORDER, None)] * held)))
    first = threading.Thread(target=gateway.post)
    with statements(of="INTO orders") as seen:
        with commits_held(gateway.database_url):
            first.start()  # occupies the committer
            wait_until(lambda: gateway.metric("gateway_committing_orders") == 1, what="the first commit has begun")
            waiting.start()
            wait_until(lambda: gateway.metric("gateway_queued_orders") == held, what=f"{held} orders wait")
        waiting.join(30)
        first.join(30)
    assert [status for status, _ in answers] == [201] * held
    assert gateway.metric("gateway_commit_orders_count") == 2
    assert gateway.metric("gateway_commit_orders_sum") == held + 1
    assert len(seen) == 2
    assert rows(gateway.database_url, "SELECT count(*) FROM outbox") == [(held + 1,)]


def test_full_queue_refuses_at_once_and_stores_the_rest(
    gateway: Any, post_many: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, rows: Callable[..., Any]
) -> None:
    monkeypatch.setattr(committing, "QUEUE_MAX", 5)
    answers: list[Any] = []
    first = threading.Thread(target=gateway.post)
    waiting = threading.Thread(target=lambda: answers.extend(post_many(gateway, [(ORDER, None)] * 5)))
    with commits_held(gateway.database_url), statements(of="INTO orders") as seen:
        first.start()
        wait_until(lambda: gateway.metric("gateway_committing_orders") == 1, what="the first commit has begun")
        waiting.start()
        wait_until(lambda: gateway.metric("gateway_queued_orders") == 5, what="the queue is full")
        begun = len(seen)
        refused = gateway.post()
        assert len(seen) == begun
    waiting.join(30)
    first.join(30)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"] == "urn:order-bus:problem:too-busy"
    assert [status for status, _ in answers] == [201] * 5
    assert rows(gateway.database_url, "SELECT count(*) FROM orders") == [(6,)]


def test_request_given_up_is_withdrawn_not_stored_later(
    gateway: Any, post_many: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, rows: Callable[..., Any]
) -> None:
    monkeypatch.setattr(committing, "WAIT_S", 0.5)
    answers: list[Any] = []
    first = threading.Thread(target=gateway.post)
    waiting = threading.Thread(target=lambda: answers.extend(post_many(gateway, [(ORDER, None)] * 3)))
    with commits_held(gateway.database_url):
        first.start()
        wait_until(lambda: gateway.metric("gateway_committing_orders") == 1)
        waiting.start()
        waiting.join(30)
    first.join(30)
    assert [status for status, _ in answers] == [503] * 3
    monkeypatch.setattr(committing, "WAIT_S", 5.0)
    gateway.place()
    [(stored,)] = rows(gateway.database_url, "SELECT count(*) FROM orders")
    assert stored == 1 + sum(body["type"].endswith("outcome-unknown") for _, body in answers) + 1


def test_postgresql_relays_hear_once_a_commit(
    start_gateway: Callable[..., Any], postgresql: str, post_many: Callable[..., Any]
) -> None:
    gateway = start_gateway(postgresql).wait_for_database()
    with psycopg.connect(postgresql, autocommit=True) as relay:
        relay.execute("LISTEN orders_outbox")
        post_many(gateway, [(ORDER, None)] * 40)
        commits = gateway.metric("gateway_commit_orders_count")
        assert len(list(relay.notifies(timeout=10, stop_after=int(commits)))) == commits
        gateway.post({"customer_name": ""})
        gateway.post(key="k")
        gateway.post(key="k")  # stores nothing, wakes nobody
        heard = len(list(relay.notifies(timeout=1, stop_after=2)))
    assert heard == 1
