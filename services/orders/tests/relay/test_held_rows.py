"""What a relay holds when it stands still, and what becomes of that when it goes on."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.testing import wait_until
from orders.relay.outbox import PostgreSQLOutbox
from orders.store.tables import outbox

LARGE_EVENT_BYTES = 10_000
"""Of an order with 500 products."""


@pytest.fixture
def held(postgresql_box: Any) -> Iterator[PostgreSQLOutbox]:
    """The outbox as a relay sees it whose sessions end after a second in which it does nothing."""
    held = PostgreSQLOutbox(postgresql_box.url, claims=2, idle_in_transaction_s=1)
    yield held
    held.close()


def test_claim_whose_session_was_ended_gives_its_rows_back_without_an_error(
    held: PostgreSQLOutbox, postgresql_box: Any
) -> None:
    put = postgresql_box.put(3)
    claim = held.claim(2)
    wait_until(lambda: _sessions(postgresql_box, "idle in transaction") == 0, 10, "its session was ended")

    claim.let_go()
    claim.settle([claim.rows[0].id])

    assert postgresql_box.event_ids() == put[1:]
    again = held.claim(3)
    assert [row.event_id for row in again.rows] == put[1:]
    again.settle([])


def test_rows_of_a_relay_that_froze_while_it_read_them_are_freed(held: PostgreSQLOutbox, postgresql_box: Any) -> None:
    with postgresql_box.engine.begin() as connection:
        large = {"routing_key": "order.created.north", "event_id": "1", "body": bytes(LARGE_EVENT_BYTES)}
        connection.execute(outbox.insert(), [large] * 500)
    with held.engine.connect() as connection:
        frozen: Any = connection.connection.driver_connection
        frozen.execute("SELECT 1")  # begins the transaction
        frozen.pgconn.send_query(b"SELECT * FROM outbox FOR UPDATE SKIP LOCKED")
        deadline = time.monotonic() + 5
        while frozen.pgconn.flush() and time.monotonic() < deadline:
            pass
        wait_until(lambda: _sessions(postgresql_box, "active") == 1, 10, "it is in the middle of its answer")

        wait_until(lambda: _sessions(postgresql_box, "active") == 0, 20, "its session was ended")
        claim = held.claim(500)
        assert len(claim.rows) == 500
        claim.settle([])
        connection.invalidate()


def _sessions(box: Any, state: str) -> int:
    """Sessions of relays in that state."""
    with box.engine.connect() as connection:
        found = connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'orders relay' AND state = :state AND datname = current_database()"
            ),
            {"state": state},
        )
    return int(found)
