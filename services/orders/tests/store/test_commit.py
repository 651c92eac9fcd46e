"""A batch and what can happen to it: bad rows, keys, numbers that are taken, lost answers, frozen servers."""

import contextlib
import random
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from orders.model import OrderRequest, PlacedOrder, place
from orders.store import commit as committing
from orders.store import postgresql as postgresql_store
from orders.store.commit import OrderStore
from orders.store.opening import open_store
from orders.store.outcomes import Found, OutcomeUnknownError, Refused, StoreUnavailableError

from eventbus import database

COUNTS = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)"


def an_order(key: str | None = None, name: str = "Daníel") -> PlacedOrder:
    return place(OrderRequest(name, [2, 4, 42], "north"), key)


@pytest.fixture
def store(migrated: str) -> Iterator[OrderStore]:
    store = open_store(migrated)
    yield store
    store.close()


@pytest.fixture
def postgresql_url(postgresql: str) -> str:
    database.upgrade(postgresql, "orders")
    return postgresql


class Proxy:
    """Between a client and PostgreSQL; can cut a connection, or swallow what the server says."""

    def __init__(self, url: str) -> None:
        target = psycopg.conninfo.conninfo_to_dict(url)
        self._target = (str(target["host"]), int(str(target["port"])))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.replace(f":{target['port']}/", f":{self._listener.getsockname()[1]}/")
        self.trouble: str | None = None
        """What happens to the next statement that stores orders: `cut_before`, `cut_after`, `panic` or `freeze`."""
        self.troubles: list[str] = []
        """What has happened."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept under way
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            frozen = threading.Event()
            threading.Thread(target=self._requests, args=(client, server, frozen), daemon=True).start()
            threading.Thread(target=self._replies, args=(server, client, frozen), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, frozen: threading.Event) -> None:
        while data := _received(client):
            trouble = self.trouble if b"json_to_recordset" in data or b"customer_name" in data else None
            if trouble:
                self.troubles.append(trouble)
                self.trouble = None
            if trouble == "cut_before":
                break
            if trouble:
                frozen.set()
            server.sendall(data)
            if trouble in ("cut_after", "panic"):
                _received(server)  # the reply: it is committed
                client.sendall(_PANIC if trouble == "panic" else b"")
                break
        client.close()
        server.close()

    def _replies(self, server: socket.socket, client: socket.socket, frozen: threading.Event) -> None:
        while not frozen.is_set():
            try:
                if not select.select([server], [], [], 0.02)[0] or frozen.is_set():
                    continue
                data = _received(server)
                if not data:
                    client.close()
                    return
                client.sendall(data)
            except (OSError, ValueError):
                return


# what a server says when its disk is full and it cannot write its log any more; what was written stands all the same
_PANIC_FIELDS = b"SPANIC\0VPANIC\0C53100\0Mcould not write to file\0\0"
_PANIC = b"E" + (len(_PANIC_FIELDS) + 4).to_bytes(4) + _PANIC_FIELDS


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1_000_000)
    except OSError:
        return b""


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[Proxy]:
    proxy = Proxy(postgresql_url)
    yield proxy
    proxy.close()


def test_batch_is_stored_with_its_events(store: OrderStore, migrated: str, rows: Callable[..., Any]) -> None:
    batch = [an_order() for _ in range(32)]
    answers = store.commit(batch)
    assert answers == [Found(order.number, order.created_at, None, True) for order in batch]
    assert set(rows(migrated, "SELECT number FROM orders")) == {(order.number,) for order in batch}
    stored = rows(migrated, "SELECT routing_key, event_id, body FROM outbox")
    assert {(key, event, bytes(body)) for key, event, body in stored} == {
        (order.routing_key, order.event_id, order.body.encode()) for order in batch
    }


def test_bad_row_is_refused_alone(store: OrderStore, migrated: str, rows: Callable[..., Any]) -> None:
    bad = an_order()
    # what each database refuses: PostgreSQL a NUL in a text, SQLite only a missing value
    bad = bad._replace(customer_name=None if migrated.startswith("sqlite") else "a\0b")  # type: ignore[arg-type]
    batch = [*(an_order(f"k-{index}") for index in range(16)), bad, *(an_order() for _ in range(15))]
    answers = store.commit(batch)
    assert [isinstance(answer, Refused) for answer in answers] == [order is bad for order in batch]
    assert rows(migrated, COUNTS) == [(31, 31)]


def test_lone_surrogate_is_a_bad_row(store: OrderStore, migrated: str, rows: Callable[..., Any]) -> None:
    bad = an_order()._replace(body="\ud800")
    answers = store.commit([an_order(), bad, an_order()])
    assert [type(answer) for answer in answers] == [Found, Refused, Found]
    assert rows(migrated, COUNTS) == [(2, 2)]


@pytest.mark.parametrize("key", [None, "k"])
def test_number_that_is_taken_is_replaced(
    store: OrderStore, migrated: str, rows: Callable[..., Any], key: str | None
) -> None:
    first = an_order()
    store.commit([first])
    clash = an_order(key)._replace(number=first.number)
    other = an_order("other")
    answers = store.commit([other, clash, an_order()])
    assert all(isinstance(answer, Found) and answer.new for answer in answers)
    assert len({answer.number for answer in answers if isinstance(answer, Found)} | {first.number}) == 4
    assert rows(migrated, COUNTS) == [(4, 4)]
    assert rows(migrated, "SELECT count(DISTINCT event_id) FROM outbox") == [(4,)]


def test_same_batch_again_after_an_unknown_outcome_stores_nothing_twice(
    store: OrderStore, migrated: str, rows: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [an_order() if index % 2 else an_order(f"k-{index}") for index in range(32)]
    runner = store._runner
    run = runner.run
    outcomes = iter([True, False])

    def loses_the_first_answer(orders: list[PlacedOrder], repeated: bool) -> list[Found]:
        found = run(orders, repeated)
        if next(outcomes):
            raise OutcomeUnknownError("lost")
        return found

    monkeypatch.setattr(runner, "run", loses_the_first_answer)
    answers = store.commit(batch)
    assert answers == [Found(order.number, order.created_at, order.request_hash, True) for order in batch]
    assert rows(migrated, COUNTS) == [(32, 32)]


@pytest.mark.parametrize("sqlstate", ["55P03", "42501", "57P01", "22P02"])
def test_failure_after_the_first_statement_stores_nothing_twice(
    postgresql_url: str, rows: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, sqlstate: str
) -> None:
    """What the first statement stored is committed, whatever becomes of the second one."""
    store = open_store(postgresql_url)
    known = an_order("known")
    store.commit([known])
    read_by_key, failures = postgresql_store._read_by_key, iter([True, False, False])

    def fails_once(*arguments: Any) -> dict[str, Found]:
        if next(failures):
            cause = psycopg.errors.lookup(sqlstate)("told by the test")
            raise sa.exc.DBAPIError("SELECT", None, cause)
        return read_by_key(*arguments)

    monkeypatch.setattr(postgresql_store, "_read_by_key", fails_once)
    repeated, keyless = an_order("known"), an_order()
    answers = store.commit([repeated, keyless])
    store.close()
    assert [answer.number for answer in answers if isinstance(answer, Found)] == [known.number, keyless.number]
    assert rows(postgresql_url, COUNTS) == [(2, 2)]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("sqlstate", ["55P03", "42501", "57P01", "22P02"])
def test_failure_while_a_taken_number_is_replaced_stores_nothing_twice(
    postgresql_url: str, rows: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, sqlstate: str, stored: bool
) -> None:
    store = open_store(postgresql_url)
    first = an_order()
    store.commit([first])
    insert, runs = postgresql_store._insert, iter(range(9))

    def second_fails(connection: sa.Connection, batch: list[PlacedOrder]) -> set[str]:
        fails = next(runs) == 1
        inserted = insert(connection, batch) if stored or not fails else set()
        if fails:
            raise sa.exc.DBAPIError("INSERT", None, psycopg.errors.lookup(sqlstate)("told by the test"))
        return inserted

    monkeypatch.setattr(postgresql_store, "_insert", second_fails)
    answers = store.commit([an_order()._replace(number=first.number), an_order()])
    store.close()
    numbers = {answer.number for answer in answers if isinstance(answer, Found)}
    assert len(numbers | {first.number}) == 3
    assert {number for (number,) in rows(postgresql_url, "SELECT number FROM orders")} == numbers | {first.number}
    assert rows(postgresql_url, COUNTS) == [(3, 3)]


@pytest.mark.parametrize("trouble", ["cut_before", "cut_after", "panic", "freeze"])
def test_connection_lost_in_a_commit_loses_and_doubles_nothing(
    proxy: Proxy, postgresql_url: str, rows: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(postgresql_store, "FROZEN_AFTER_S", 0.3)
    store = open_store(proxy.url)
    store.commit([an_order()])
    batch = [an_order() if index % 2 else an_order(f"k-{index}") for index in range(32)]
    proxy.trouble = trouble
    answers = store.commit(batch)
    assert proxy.troubles == [trouble]
    assert answers == [Found(order.number, order.created_at, order.request_hash, True) for order in batch]
    assert rows(postgresql_url, COUNTS) == [(33, 33)]
    store.close()


def test_database_lost_for_good_in_a_commit_leaves_the_outcome_unknown(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "SETTLE_S", 0.5)
    told: list[bool] = []
    store = open_store(proxy.url, lambda: told.append(True))
    store.commit([an_order()])
    proxy.trouble = "cut_after"
    proxy.close()
    with pytest.raises(OutcomeUnknownError):
        store.commit([an_order()])
    assert told
    with pytest.raises(StoreUnavailableError):  # the next one never began
        store.commit([an_order()])
    store.close()


def test_keys_are_inserted_in_one_order_whatever_the_batch(postgresql_url: str, rows: Callable[..., Any]) -> None:
    """In different orders two gateways would wait for each other's keys: 5 of 240 batches died of deadlocks."""
    store = open_store(postgresql_url)
    keys = [f"k-{index:03}" for index in range(100)]
    store.commit([an_order(key) for key in random.Random(1).sample(keys, 100)])
    store.close()
    assert rows(postgresql_url, "SELECT idempotency_key FROM orders ORDER BY ctid") == [(key,) for key in keys]


def test_batches_with_the_same_keys_at_once_never_deadlock(postgresql_url: str, rows: Callable[..., Any]) -> None:
    def commits(seed: int) -> list[tuple[str, str]]:
        chance = random.Random(seed)
        store = open_store(postgresql_url)
        pairs = []
        for _ in range(15):
            keys = [f"k-{chance.randrange(300)}" for _ in range(100)]
            chance.shuffle(keys)
            answers = store._runner.run([an_order(key) for key in dict.fromkeys(keys)], False)
            pairs += [(key, found.number) for key, found in zip(dict.fromkeys(keys), answers, strict=True)]
        store.close()
        return pairs

    with ThreadPoolExecutor(4) as threads:
        pairs = [pair for found in threads.map(commits, range(4)) for pair in found]
    numbers = {key: {number for other, number in pairs if other == key} for key, _ in set(pairs)}
    assert all(len(found) == 1 for found in numbers.values())
    assert rows(postgresql_url, COUNTS) == [(len(numbers), len(numbers))]
