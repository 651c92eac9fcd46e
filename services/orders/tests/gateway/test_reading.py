"""`GET /orders/{number}`: the order, its status, its departments."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from orders.gateway import app, reads
from orders.store.reading import READERS, OrderReader
from orders.store.tables import departments, orders, progress

from eventbus import database

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(gateway: Any) -> Iterator[Callable[..., None]]:
    """Writes a row, as the tracker does."""
    engine = database.create_engine(gateway.database_url)

    def insert(table: sa.Table, **values: Any) -> None:
        with engine.begin() as connection:
            connection.execute(sa.insert(table).values(**values))

    yield insert
    engine.dispose()


@pytest.fixture
def joined(store: Callable[..., None]) -> Callable[..., None]:
    def announce(
        name: str,
        patterns: Sequence[str] = ("order.created.*",),
        since: datetime = LONG_AGO,
        until: datetime | None = None,
    ) -> None:
        store(departments, name=name, patterns=json.dumps(patterns), announced_at=since)
        if until is not None:
            store(departments, name=name, patterns="[]", announced_at=until)

    return announce


@pytest.fixture
def reported(store: Callable[..., None]) -> Callable[..., None]:
    ranks = {"waiting": 1, "attention": 2, "done": 3}
    return lambda number, department, state, **more: store(
        progress,
        **{
            "number": number.replace("-", ""),
            "department": department,
            "cause_type": "order.created",
            "state": state,
            "rank": ranks[state],
            "updated_at": datetime(2026, 11, 24, 7, 19, 46, 123000, tzinfo=UTC),
        }
        | more,
    )


def test_order_is_received_then_processing_then_done(
    gateway: Any, joined: Callable[..., None], reported: Callable[..., None]
) -> None:
    joined("printer")
    joined("sap_bridge")
    joined("printer_south", ["order.created.south"])
    number = gateway.place()
    pending = {"state": "pending", "reference": None, "detail": None, "updated_at": None}
    read = gateway.client.get(f"/orders/{number}").json()
    assert read["status"] == "received"
    assert read["departments"] == {"printer": pending, "sap_bridge": pending}

    reported(number, "sap_bridge", "done", reference="4711")
    read = gateway.client.get(f"/orders/{number}").json()
    assert read["status"] == "processing"
    assert read["departments"]["printer"] == pending
    assert read["departments"]["sap_bridge"] == {
        "state": "done",
        "reference": "4711",
        "detail": None,
        "updated_at": "2026-11-24T07:19:46.123Z",
    }

    reported(number, "printer", "done")
    assert gateway.client.get(f"/orders/{number}").json()["status"] == "done"


def test_department_that_gave_up_makes_the_order_need_attention(gateway: Any, reported: Callable[..., None]) -> None:
    number = gateway.place()
    reported(number, "printer", "done")
    reported(number, "sap_bridge", "attention", detail="no such product")
    read = gateway.client.get(f"/orders/{number}").json()
    assert read["status"] == "attention"
    assert read["departments"]["sap_bridge"]["detail"] == "no such product"


def test_department_that_joins_later_or_left_is_not_awaited(gateway: Any, joined: Callable[..., None]) -> None:
    joined("left", until=datetime.now(UTC) + timedelta(hours=1))
    number = gateway.place()
    joined("late", since=datetime.now(UTC) + timedelta(seconds=1))
    assert gateway.client.get(f"/orders/{number}").json()["departments"] == {}


def test_number_is_found_however_it_is_written(gateway: Any, store: Callable[..., None]) -> None:
    store(
        orders,
        number="10KQ2M9XD4TW",
        customer_name="Daníel",
        product_ids="[2]",
        region="north",
        created_at=LONG_AGO,
    )
    for written in ("10KQ-2M9X-D4TW", "10kq2m9xd4tw", "Iokq-2m9x-d4tw", "LO-KQ-2M-9X-D4-TW"):
        read = gateway.client.get(f"/orders/{written}")
        assert read.status_code == 200, written
        assert read.json()["order_number"] == "10KQ-2M9X-D4TW"
        assert read.json()["created_at"] == "2026-01-01T00:00:00.000Z"


def test_number_that_does_not_exist_costs_what_one_that_does_costs(gateway: Any) -> None:
    """The same statements: whoever guesses numbers learns nothing from the time that an answer takes."""
    placed = gateway.place().replace("-", "")
    reader = OrderReader(gateway.database_url)
    statements: list[str] = []
    sa.event.listen(reader._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    asked = {}
    for number in ("000000000000", placed, "000000000001"):  # the first connects
        statements.clear()
        assert (reader.read(number) is not None) == (number == placed)
        asked[number] = list(statements)
    reader.close()
    assert asked[placed] == asked["000000000001"]
    assert len(asked[placed]) >= 3


def test_head_answers_like_get_without_a_body(gateway: Any) -> None:
    number = gateway.place()
    head, get = gateway.client.head(f"/orders/{number}"), gateway.client.get(f"/orders/{number}")
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert gateway.client.head("/orders/nonsense").status_code == 404


def test_many_readers_at_once_are_all_answered(shared_gateway: Any) -> None:
    number = shared_gateway.place()
    answers = asyncio.run(_read_many(shared_gateway.port, number, 400))
    assert Counter(answers) == {200: 400}


def test_too_many_readers_are_told_so(shared_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = shared_gateway.place()
    monkeypatch.setattr(reads, "READS_PENDING_MAX", 0)
    refused = shared_gateway.client.get(f"/orders/{number}")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["type"] == "urn:order-bus:problem:too-busy"
    monkeypatch.undo()
    assert shared_gateway.client.get(f"/orders/{number}").status_code == 200


def test_readers_that_gave_up_leave_their_turns_to_others(shared_gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = shared_gateway.place()
    stuck, begun = threading.Event(), []
    read = OrderReader._read

    def held(reader: OrderReader, wanted: str) -> Any:
        begun.append(wanted)
        assert stuck.wait(30)
        return read(reader, wanted)

    with monkeypatch.context() as patch:
        patch.setattr(OrderReader, "_read", held)
        patch.setattr(reads, "READ_WAIT_S", 0.5)
        answers = asyncio.run(_read_many(shared_gateway.port, number, 50))
        stuck.set()
    assert Counter(answers) == {503: 50}
    assert shared_gateway.client.get(f"/orders/{number}").status_code == 200
    assert len(begun) == READERS, "what nobody waits for is not read"


@pytest.mark.parametrize("path", ["/orders/7KQ2-M9XD-4TWE", "/metrics"])
def test_bug_is_a_problem_like_any_other(shared_gateway: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(OrderReader, "read", broken)
    monkeypatch.setattr(app, "generate_latest", broken)
    response = shared_gateway.client.get(path)
    assert response.status_code == response.json()["status"] == 500
    assert response.headers["content-type"] == "application/problem+json"


async def _read_many(port: int, number: str, times: int) -> list[int]:
    """The status of each answer to that many requests at once, each on a connection of its own."""

    async def read() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /orders/{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1])

    return await asyncio.gather(*(read() for _ in range(times)))


def test_names_are_not_left_in_caches(gateway: Any) -> None:
    assert gateway.client.get(f"/orders/{gateway.place()}").headers["cache-control"] == "no-store"


def test_event_in_the_outbox_is_the_order(gateway: Any, rows: Callable[..., Any]) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    order = {"customer_name": 'Дані"ел 🛒', "product_ids": [2, 4, 42, 2], "region": "north"}
    placed = gateway.client.post("/orders", json=order, headers={"traceparent": trace}).json()
    [(key, event_id, body)] = rows(gateway.database_url, "SELECT routing_key, event_id, body FROM outbox")
    event = json.loads(bytes(body))
    assert key == "order.created.north"
    assert (event["id"], event["subject"], event["traceparent"]) == (event_id, placed["order_number"], trace)
    assert event["data"] == {
        **order,
        "order_number": placed["order_number"],
        "created_at": placed["created_at"],
    }


@pytest.mark.parametrize(
    "trace",
    [
        "nonsense",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "",
    ],
)
def test_malformed_traceparent_is_ignored(shared_gateway: Any, rows: Callable[..., Any], trace: str) -> None:
    order = {"customer_name": "D", "product_ids": [1]}
    assert shared_gateway.client.post("/orders", json=order, headers={"traceparent": trace}).status_code == 201
    [(body,)] = rows(shared_gateway.database_url, "SELECT body FROM outbox ORDER BY id DESC LIMIT 1")
    assert "traceparent" not in json.loads(bytes(body))
