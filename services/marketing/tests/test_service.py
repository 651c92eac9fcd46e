"""The department as its operator runs it: a process, a broker, a database, HTTP."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
from eventbus.department.inbox import Inbox
from eventbus.testing import wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import DepartmentProcess, Reports
from eventbus.testing.postgresql import PostgreSQLServer
from marketing.tables import inbox

from eventbus import database

Start = Callable[..., DepartmentProcess]
GROUPINGS = ("day", "hour", "region", "product")
ORDERS_OF_A_CRASH = 600
THE_DAY = "from=2026-11-24&to=2026-11-24"


def stats(marketing: DepartmentProcess, query: str = THE_DAY) -> dict[str, Any]:
    status, body = marketing.get(f"/stats?{query}")
    assert status == 200, body
    return dict(json.loads(body))


def orders(marketing: DepartmentProcess) -> int:
    return int(stats(marketing)["orders"])


def test_order_on_the_bus_is_counted_reported_and_shown(
    start_marketing: Start, broker: Broker, database_url: str
) -> None:
    marketing = start_marketing(database_url=database_url).wait_ready()
    reports = Reports(broker)
    event = an_event(region="north", product_ids=(2, 4, 42))

    broker.publish(event, "order.created.north")

    wait_until(lambda: reports.of(event.subject) == ["done"], what="reported done")
    assert reports.last(event.subject).detail == "counted"
    groups = stats(marketing, f"{THE_DAY}&group_by=product")["groups"]
    assert [group["product"] for group in groups] == [2, 4, 42]
    assert orders(marketing) == 1
    shown = [marketing.get(path)[1] for path in (f"/stats?{THE_DAY}&format=csv", f"/dashboard?{THE_DAY}", "/metrics")]
    assert marketing.stop() == 0
    for text in (*shown, marketing.output()):
        assert text
        assert "Dan" not in text


def test_events_published_again_to_the_department_leave_every_number_as_it_was(
    start_marketing: Start, broker: Broker
) -> None:
    marketing = start_marketing().wait_ready()
    reports = Reports(broker)
    events = [an_event(customer_name=f"Customer {number % 5}") for number in range(30)]
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: all(reports.of(event.subject) == ["done"] for event in events), what="30 orders are counted")
    before = [stats(marketing, f"{THE_DAY}&group_by={group}") for group in GROUPINGS]

    for event in events:
        broker.publish_body(
            event.encode(),
            "marketing",
            exchange="departments",
            headers={"bus-routing-key": "order.created.north", "bus-replay": True},
        )
    # reported again, one by one: then they have been handled
    wait_until(lambda: all(len(reports.of(event.subject)) == 2 for event in events), what="the repeats are handled")
    assert [stats(marketing, f"{THE_DAY}&group_by={group}") for group in GROUPINGS] == before
    assert len({event.id for event in reports.heard}) == 30, "a repeat reports the same result"


def test_killed_while_counting_each_order_counts_once_after_the_restart(
    start_marketing: Start, broker: Broker, tmp_path: Path
) -> None:
    start_marketing().wait_ready().stop()  # its queue stands now
    with broker.channel() as channel:
        for _ in range(ORDERS_OF_A_CRASH):
            event = an_event()
            properties = pika.BasicProperties(content_type="application/json", message_id=event.id, delivery_mode=2)
            channel.basic_publish("events", "order.created.north", event.encode(), properties)

    killed = start_marketing()
    wait_until(lambda: killed.get("/stats")[0] == 200 and orders(killed) > 0, 30, "some orders are counted")
    killed.kill()

    restarted = start_marketing().wait_ready()
    wait_until(lambda: orders(restarted) >= ORDERS_OF_A_CRASH, 60, "all orders are counted")
    assert restarted.stop() == 0  # what was in hand is settled: nothing can be counted after this
    assert broker.depth("marketing") == 0
    with sqlite3.connect(tmp_path / "marketing.db") as connection:
        counted = connection.execute("SELECT sum(orders) FROM counts WHERE dimension = 'total'").fetchone()
    assert counted == (ORDERS_OF_A_CRASH,)


def test_order_that_cannot_be_counted_is_parked_and_the_others_of_its_batch_are_counted(
    start_marketing: Start, broker: Broker
) -> None:
    marketing = start_marketing().wait_ready()
    reports = Reports(broker)
    impossible = an_event(created_at="9999-12-31T23:30:00Z")
    for event in (an_event(), impossible, an_event()):
        broker.publish(event, "order.created.north")

    parked = broker.wait_message("marketing.dead")
    assert "created_at" in parked.headers["bus-reason"]
    wait_until(lambda: orders(marketing) == 2, what="the others are counted")
    wait_until(lambda: reports.of(impossible.subject) == ["attention"], what="attention is reported")


def test_database_away_answers_503_and_counts_when_it_is_back(
    start_marketing: Start, broker: Broker, own_postgresql: PostgreSQLServer
) -> None:
    marketing = start_marketing(database_url=own_postgresql.url()).wait_ready()
    assert orders(marketing) == 0
    own_postgresql.stop()

    broker.publish(an_event(), "order.created.north")
    status, body = marketing.get("/stats")
    assert status == 503
    assert json.loads(body)["title"] == "Service Unavailable"

    own_postgresql.start()
    wait_until(lambda: marketing.get("/stats")[0] == 200 and orders(marketing) == 1, what="the order is counted")
    assert broker.depth("marketing.dead") == 0


def test_database_restarted_between_two_questions_answers_both(
    start_marketing: Start, own_postgresql: PostgreSQLServer
) -> None:
    marketing = start_marketing(database_url=own_postgresql.url()).wait_ready()
    assert orders(marketing) == 0

    own_postgresql.stop()
    own_postgresql.start()

    assert orders(marketing) == 0


def test_questions_are_answered_and_wrong_ones_refused_by_parameter(start_marketing: Start) -> None:
    marketing = start_marketing().wait_ready()

    answer = stats(marketing, "")
    assert (answer["timezone"], answer["group_by"], answer["orders"]) == ("Europe/Berlin", "day", 0)
    assert len(answer["groups"]) == 30
    assert answer["groups"][-1]["day"] == answer["to"]
    for query, parameter in [("group_by=year", "group_by"), ("from=yesterday", "from"), ("until=2026-01-01", "until")]:
        status, body = marketing.get(f"/stats?{query}")
        problem = json.loads(body)
        assert (status, problem["status"], problem["parameter"]) == (400, 400, parameter)
        assert problem["detail"].startswith(f"{parameter}: ")


def test_announcement_says_how_far_back_repeats_are_known(
    start_marketing: Start, broker: Broker, tmp_path: Path
) -> None:
    url, now = f"sqlite:///{tmp_path / 'marketing.db'}", datetime.now(UTC)
    database.upgrade(url, "marketing")
    engine = database.create_engine(url)
    with engine.begin() as connection:
        connection.execute(inbox.insert(), {"event_id": "old", "received_at": now - timedelta(200)})
        assert Inbox(inbox).forget(connection, now - timedelta(120)) == 1
    engine.dispose()
    announcements = broker.tap("department.joined.marketing")

    start_marketing().wait_ready()

    announced = json.loads(broker.wait_message(announcements).body)["data"]["remembers_since"]
    assert abs(datetime.fromisoformat(announced) - (now - timedelta(120))) < timedelta(seconds=1)


def test_other_time_zone_than_the_database_has_counted_in_ends_the_process_with_one_line(
    start_marketing: Start,
) -> None:
    start_marketing().wait_ready().stop()

    changed = start_marketing(timezone="Asia/Tokyo")
    assert changed.process.wait(30) == 78
    assert changed.output().splitlines()[-1].startswith("configuration: timezone: expected Europe/Berlin")
