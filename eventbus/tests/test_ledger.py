"""The ledger on both databases: one worker at a time, and what a crash leaves behind."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from eventbus.department.ledger import (
    NEW,
    Claimed,
    Entry,
    Held,
    Key,
    LeaseLostError,
    Ledger,
    Settled,
    advisory_lock,
    ledger_table,
)
from eventbus.department.owner import new_owner
from sqlalchemy.engine import Connection, Engine

from eventbus import database

KEY = Key("7KQ2-M9XD-4TWE", "order.created")
CAUSE = "0ed3a6aa-d1c4-568b-a39e-35c052a2bc6d"
NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
FINAL = ("booked", "rejected")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(engine: Engine, clock: Clock) -> Ledger:
    metadata = sa.MetaData()
    table = ledger_table(metadata)
    metadata.create_all(engine)
    return Ledger(table, clock)


@pytest.fixture
def run(engine: Engine) -> Callable[..., Any]:
    def run(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with engine.begin() as connection:
            return work(connection, *args, **kwargs)

    return run


Run = Callable[..., Any]


def claim(run: Run, ledger: Ledger, owner: str = "one", lease_s: float = 80) -> Claimed | Held | Settled:
    claimed: Claimed | Held | Settled = run(ledger.claim, KEY, CAUSE, owner, lease_s, final_states=FINAL)
    return claimed


def claimed_entry(run: Run, ledger: Ledger, owner: str = "one") -> Entry:
    result = claim(run, ledger, owner)
    assert isinstance(result, Claimed)
    return result.entry


def test_unknown_key_is_claimed_fresh_with_nothing_sent(run: Run, ledger: Ledger) -> None:
    result = claim(run, ledger)

    assert isinstance(result, Claimed)
    assert result.fresh
    assert result.entry == run(ledger.get, KEY)
    assert (result.entry.key, result.entry.state, result.entry.attempt) == (KEY, NEW, 0)
    assert result.entry.last_sent_at is None
    assert result.entry.extra == {}
    assert result.entry.lease_until == NOON + timedelta(seconds=80)


def test_row_of_another_worker_is_held_until_its_lease_ends(run: Run, ledger: Ledger, clock: Clock) -> None:
    claim(run, ledger, "one")
    clock.pass_s(30)

    held = claim(run, ledger, "two")
    assert isinstance(held, Held)
    assert held.seconds_left == pytest.approx(50)
    assert held.entry.owner == "one"

    clock.pass_s(50)
    taken_over = claim(run, ledger, "two")
    assert isinstance(taken_over, Claimed)
    assert not taken_over.fresh
    assert taken_over.entry.owner == "two"


def test_claim_of_the_same_owner_renews_the_lease(run: Run, ledger: Ledger, clock: Clock) -> None:
    claim(run, ledger, "one")
    clock.pass_s(60)

    again = claim(run, ledger, "one")

    assert isinstance(again, Claimed)
    assert not again.fresh
    assert again.entry.lease_until == clock.now + timedelta(seconds=80)


def test_sending_is_remembered_by_the_next_worker(run: Run, ledger: Ledger, clock: Clock) -> None:
    entry = claimed_entry(run, ledger)
    run(ledger.advance, entry, "sending", attempt=1, first_sent_at=NOON, last_sent_at=NOON, extra={"äußerst": [1]})
    clock.pass_s(81)

    entry = claimed_entry(run, ledger, "two")

    assert (entry.state, entry.attempt, entry.first_sent_at, entry.last_sent_at) == ("sending", 1, NOON, NOON)
    assert entry.extra == {"äußerst": [1]}


def test_settled_row_is_returned_as_it_is(run: Run, ledger: Ledger, clock: Clock) -> None:
    entry = claimed_entry(run, ledger)
    booked = run(ledger.advance, entry, "booked", release=True, reference="4711", detail="as ordered")
    clock.pass_s(1000)

    settled = claim(run, ledger, "two")

    assert settled == Settled(booked)
    assert (booked.reference, booked.detail, booked.owner, booked.lease_until) == ("4711", "as ordered", None, None)


def test_lease_taken_over_nothing_is_written(run: Run, ledger: Ledger, clock: Clock) -> None:
    entry = claimed_entry(run, ledger, "one")
    clock.pass_s(81)
    successor = claimed_entry(run, ledger, "two")

    with pytest.raises(LeaseLostError, match="7KQ2-M9XD-4TWE"):
        run(ledger.advance, entry, "booked", reference="4711")
    run(ledger.release, entry)

    assert run(ledger.get, KEY) == successor


def test_lease_ran_out_but_nobody_took_over_the_outcome_is_written(run: Run, ledger: Ledger, clock: Clock) -> None:
    entry = claimed_entry(run, ledger)
    clock.pass_s(500)

    assert run(ledger.advance, entry, "booked", reference="4711").reference == "4711"


def test_two_followers_move_an_unowned_row_on_only_one_does(run: Run, ledger: Ledger) -> None:
    entry = claimed_entry(run, ledger)
    waiting = run(ledger.advance, entry, "printing", release=True)
    run(ledger.advance, waiting, "booked")

    with pytest.raises(LeaseLostError):
        run(ledger.advance, waiting, "rejected")


def test_advance_with_lease_renews_it(run: Run, ledger: Ledger, clock: Clock) -> None:
    entry = claimed_entry(run, ledger)
    clock.pass_s(79)

    assert run(ledger.advance, entry, "sending", lease_s=60).lease_until == clock.now + timedelta(seconds=60)


def test_released_row_is_free_at_once(run: Run, ledger: Ledger) -> None:
    run(ledger.release, claimed_entry(run, ledger, "one"))

    assert isinstance(claim(run, ledger, "two"), Claimed)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"owner": "two"}, TypeError),
        ({"colour": "red"}, TypeError),
        ({"reference": "x" * 256}, ValueError),
        ({"detail": "x" * 501}, ValueError),
    ],
)
def test_change_that_does_not_fit_is_refused(
    run: Run, ledger: Ledger, changes: dict[str, Any], error: type[Exception]
) -> None:
    entry = claimed_entry(run, ledger)

    with pytest.raises(error):
        run(ledger.advance, entry, "sending", **changes)

    assert run(ledger.get, KEY) == entry


def test_transaction_rolled_back_claim_leaves_no_row(engine: Engine, run: Run, ledger: Ledger) -> None:
    with engine.connect() as connection:
        ledger.claim(connection, KEY, CAUSE, "one", 80, final_states=FINAL)
        connection.rollback()

    assert run(ledger.get, KEY) is None


def test_copies_are_rows_of_their_own_in_order(run: Run, ledger: Ledger) -> None:
    for copy in (2, 1, 3):
        run(ledger.claim, KEY._replace(copy=copy), CAUSE, f"owner {copy}", 80, final_states=FINAL)
    run(ledger.claim, Key("other", "order.created"), CAUSE, "owner", 80, final_states=FINAL)

    assert [entry.copy for entry in run(ledger.copies, *KEY[:2])] == [1, 2, 3]


def test_open_entries_oldest_change_first_with_age_and_limit(run: Run, ledger: Ledger, clock: Clock) -> None:
    assert run(ledger.remembers_since) == NOON, "an empty ledger may be one that was lost"
    clock.pass_s(10)
    for number in ("A", "B", "C", "D"):
        result = run(ledger.claim, Key(number, "order.created"), CAUSE, "one", 80, final_states=FINAL)
        if number != "D":
            run(ledger.advance, result.entry, "printing", release=True)
        clock.pass_s(10)

    def numbers(**arguments: Any) -> list[str]:
        return [entry.order_number for entry in run(ledger.open_entries, ["printing"], **arguments)]

    assert numbers(limit=10) == ["A", "B", "C"]
    assert numbers(limit=2) == ["A", "B"]
    assert numbers(limit=10, older_than=NOON + timedelta(seconds=30)) == ["A", "B"]
    assert run(ledger.remembers_since) == NOON + timedelta(seconds=10)


def test_eight_workers_race_one_claims_the_others_are_told_to_wait(engine: Engine, run: Run, ledger: Ledger) -> None:
    def results_of_race(name: str) -> list[Claimed | Held | Settled]:
        start, results = threading.Barrier(8), []

        def work(owner: str) -> None:
            start.wait()
            results.append(claim(run, ledger, owner))

        threads = [threading.Thread(target=work, args=(f"{name} {i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    first = results_of_race("fresh")
    assert sorted(type(result).__name__ for result in first) == ["Claimed"] + ["Held"] * 7

    run(ledger.release, next(result.entry for result in first if isinstance(result, Claimed)))
    again = results_of_race("released")
    assert sorted(type(result).__name__ for result in again) == ["Claimed"] + ["Held"] * 7


def test_advisory_lock_excludes_others_and_ends_with_the_block(engine: Engine) -> None:
    locks = engine.dialect.name == "postgresql"
    with advisory_lock(engine, KEY) as held:
        assert held
        with advisory_lock(engine, KEY) as second:
            assert second is not locks
        with advisory_lock(engine, KEY._replace(copy=2)) as other:
            assert other
    with advisory_lock(engine, KEY) as held:
        assert held


def test_connection_of_the_lock_dies_the_block_goes_on(postgresql: str) -> None:
    engine = database.create_engine(postgresql)

    def kill(connection: Connection) -> None:
        connection.execute(
            sa.text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
        )

    with advisory_lock(engine, KEY) as held:
        assert held
        with engine.begin() as connection:
            kill(connection)
    with advisory_lock(engine, KEY) as held:
        assert held
    engine.dispose()


def test_lease_of_a_dead_process_is_taken_over_at_once(ledger: Ledger, engine: Engine) -> None:
    program = "from eventbus.department.owner import new_owner; print(new_owner())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    with engine.begin() as connection:
        ledger.claim(connection, KEY, "cause", ended.stdout.strip(), 3600, final_states=())
    with engine.begin() as connection:
        claim = ledger.claim(connection, KEY, "cause", new_owner(), 60, final_states=())
    assert isinstance(claim, Claimed)
    assert not claim.fresh
