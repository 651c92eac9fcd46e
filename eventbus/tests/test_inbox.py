"""The inbox on both databases: each event counts once, whoever repeats it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from eventbus.department.inbox import Inbox, inbox_table
from eventbus.department.outcomes import Permanent
from eventbus.testing.waiting import wait_until
from sqlalchemy.engine import Engine

from eventbus import database


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def inbox(engine: Engine) -> Inbox:
    metadata = sa.MetaData()
    table = inbox_table(metadata)
    metadata.create_all(engine)
    return Inbox(table)


def take(engine: Engine, inbox: Inbox, *event_ids: str) -> set[str]:
    with engine.begin() as connection:
        return inbox.take(connection, event_ids)


def age(engine: Engine, inbox: Inbox, event_id: str, days: int) -> None:
    with engine.begin() as connection:
        received_at = datetime.now(UTC) - timedelta(days=days)
        connection.execute(
            sa.update(inbox.table).where(inbox.table.c.event_id == event_id).values(received_at=received_at)
        )


def days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def test_first_delivery_is_new_and_every_repeat_is_not(engine: Engine, inbox: Inbox) -> None:
    assert take(engine, inbox, "a", "b") == {"a", "b"}
    assert take(engine, inbox, "a", "b") == set()
    assert take(engine, inbox, "b", "c") == {"c"}


def test_repeat_inside_one_call_is_new_once(engine: Engine, inbox: Inbox) -> None:
    assert take(engine, inbox, "a", "a", "a") == {"a"}


def test_nothing_given_nothing_new(engine: Engine, inbox: Inbox) -> None:
    assert take(engine, inbox) == set()


def test_call_larger_than_one_statement_names_every_new_id(engine: Engine, inbox: Inbox) -> None:
    take(engine, inbox, *(str(number) for number in range(0, 5000, 2)))

    assert take(engine, inbox, *map(str, range(5000))) == {str(number) for number in range(1, 5000, 2)}


def test_transaction_rolled_back_leaves_its_ids_new(engine: Engine, inbox: Inbox) -> None:
    with engine.connect() as connection:
        inbox.take(connection, ["a"])
        connection.rollback()

    assert take(engine, inbox, "a") == {"a"}


@pytest.mark.parametrize(("ends", "second_gets"), [("commit", {"c"}), ("rollback", {"b", "c"})])
def test_two_transactions_with_the_same_id_second_waits_for_the_first(
    engine: Engine, inbox: Inbox, ends: str, second_gets: set[str]
) -> None:
    results: list[set[str]] = []
    second = threading.Thread(target=lambda: results.append(take(engine, inbox, "b", "c")))
    with engine.connect() as first:
        assert inbox.take(first, ["a", "b"]) == {"a", "b"}
        second.start()
        if database.is_sqlite(engine):
            assert not results  # the file's one writer: BEGIN IMMEDIATE waits
        else:
            wait_until(lambda: _somebody_waits(engine), what="the second transaction waits for the first")
        getattr(first, ends)()
    second.join(timeout=20)

    assert results == [second_gets]


def test_many_transactions_with_overlapping_ids_in_any_order_each_id_new_once(engine: Engine, inbox: Inbox) -> None:
    ids = [f"event-{number}" for number in range(60)]
    results: list[set[str]] = []

    def consume(start: int) -> None:
        for first in range(start, start + 60, 10):
            batch = [ids[(first + offset) % 60] for offset in range(25)]
            results.append(take(engine, inbox, *(reversed(batch) if start % 2 else batch)))

    workers = [threading.Thread(target=consume, args=(start,)) for start in (0, 7, 31, 45)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)

    assert len(results) == 24  # no worker ended with a deadlock or a locked database
    assert sorted(event_id for new in results for event_id in new) == sorted(ids)


@pytest.mark.parametrize("event_id", ["", "x" * 256, "a\0b", "a\ud800b"])
def test_id_that_no_database_keeps_is_refused_for_good(engine: Engine, inbox: Inbox, event_id: str) -> None:
    with pytest.raises(Permanent, match="the event's id"):
        take(engine, inbox, event_id)


def test_id_of_255_characters_of_any_script_is_kept(engine: Engine, inbox: Inbox) -> None:
    event_id = "注" * 255

    assert take(engine, inbox, event_id) == {event_id}
    assert take(engine, inbox, event_id) == set()


def test_nothing_forgotten_inbox_remembers_from_the_beginning(engine: Engine, inbox: Inbox) -> None:
    take(engine, inbox, "a")

    with engine.begin() as connection:
        assert inbox.forget(connection, days_ago(91)) == 0
        assert inbox.remembers_since(connection) is None


def test_old_ids_forgotten_inbox_says_how_far_back_it_reaches(engine: Engine, inbox: Inbox) -> None:
    take(engine, inbox, "old", "young")
    age(engine, inbox, "old", days=120)
    horizon = days_ago(100)

    with engine.begin() as connection:
        assert inbox.forget(connection, horizon) == 1
        assert inbox.forget(connection, horizon) == 0
        assert inbox.remembers_since(connection) == horizon
    assert take(engine, inbox, "old", "young") == {"old"}


def test_earlier_horizon_later_does_not_move_it_back(engine: Engine, inbox: Inbox) -> None:
    take(engine, inbox, "older", "old")
    age(engine, inbox, "old", days=120)
    horizon = days_ago(100)
    with engine.begin() as connection:
        inbox.forget(connection, horizon)
    age(engine, inbox, "older", days=400)

    with engine.begin() as connection:
        assert inbox.forget(connection, days_ago(300)) == 1
        assert inbox.remembers_since(connection) == horizon


def test_ids_younger_than_90_days_cannot_be_forgotten(engine: Engine, inbox: Inbox) -> None:
    with engine.begin() as connection, pytest.raises(ValueError, match="90 days"):
        inbox.forget(connection, days_ago(89))


def _somebody_waits(engine: Engine) -> bool:
    with engine.connect() as connection:
        waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(connection.scalar(waiting))
