"""Somebody's transaction is left open, so that no row that was sent is ever vacuumed."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from orders.relay.floor import MARGIN, SWEEP_S, Floor
from orders.relay.outbox import PostgreSQLOutbox

from relay.clock import Clock

SENT = 60_000


def test_claims_look_at_new_rows_and_at_all_of_them_once_a_second(clock: Clock) -> None:
    floor = Floor(clock)
    assert floor.take() == 0
    floor.found(5)
    assert floor.take() == 0
    floor.found(3 * MARGIN)
    assert floor.take() == 2 * MARGIN

    clock.now += SWEEP_S
    assert [floor.take(), floor.take()] == [0, 2 * MARGIN]


def test_claims_do_not_walk_over_what_was_sent_under_an_old_snapshot(
    foreign: sa.Connection, postgresql_box: Any
) -> None:
    relay = PostgreSQLOutbox(postgresql_box.url, claims=2, idle_in_transaction_s=60)
    with postgresql_box.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO outbox (routing_key, event_id, body)"
                " SELECT 'order.created.north', 'x', 'x' FROM generate_series(1, :sent)"
            ),
            {"sent": SENT},
        )
    with postgresql_box.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM outbox"))
    statements: list[tuple[str, Any]] = []
    sa.event.listen(
        relay.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: statements.append((statement, parameters)),
    )
    put = postgresql_box.put(10)

    swept, claimed = relay.claim(5), relay.claim(5)

    assert [row.event_id for row in (*swept.rows, *claimed.rows)] == put
    pages = [_pages(postgresql_box, *statement) for statement in statements if "outbox" in statement[0]]
    swept.settle([])
    claimed.settle([])
    relay.close()
    assert pages[0] > SENT / 200, "the rows that were sent are gone: this test shows nothing"
    assert pages[1] < pages[0] / 3


@pytest.fixture
def foreign(postgresql_box: Any) -> Iterator[sa.Connection]:
    """A transaction with an old snapshot, as a backup's."""
    with postgresql_box.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(sa.text("SELECT count(*) FROM orders"))
        yield connection


def _pages(box: Any, statement: str, parameters: Any) -> int:
    """How many pages the statement looks at."""
    with box.engine.connect() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
        ).scalar_one()
    top = plan[0]["Plan"]
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])
