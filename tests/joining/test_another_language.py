"""A department in another language joins by the written contract alone: nothing here knows of it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from eventbus.contract import BusHeaders, decode
from eventbus.contract.identity import result_id
from eventbus.operator import announcements, check
from eventbus.testing import an_event
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker, Message
from eventbus.topology import shared

CONTRACT = Path(__file__).parents[2] / "docs" / "contract"


def understood(message: Message) -> Any:
    """The event, if it fits the schema that is checked in and decodes."""
    schema = json.loads((CONTRACT / f"{message.properties.type}.schema.json").read_text())
    jsonschema.validate(json.loads(message.body), schema, jsonschema.Draft7Validator)
    return decode(message.body, message.properties.content_type, message.routing_key)


def given(loyalty: Any) -> list[str]:
    """Ids of the events that it gave points for."""
    return [json.loads(line)["id"] for line in loyalty.points.read_text().splitlines()]


def test_order_is_reported_done_with_the_derived_id(broker: Broker, loyalty: Any) -> None:
    reports = broker.tap("order.progressed.*")
    event = an_event(region="north", product_ids=(2, 4, 42))
    broker.publish(event, "order.created.north")
    message = broker.wait_message(reports)
    report = understood(message)
    assert (report.data.order_number, report.data.department) == (event.data.order_number, "loyalty")
    assert (report.data.state, report.data.reference) == ("done", "3 points")
    assert report.id == message.properties.message_id == result_id(event.id, "loyalty", "done")
    assert (message.properties.app_id, message.properties.delivery_mode) == ("loyalty", 2)


def test_it_announces_itself_at_each_start(broker: Broker, loyalty: Any) -> None:
    joined = broker.tap("department.joined.*")
    loyalty.kill()
    loyalty.start()
    announced = understood(broker.wait_message(joined)).data
    assert (announced.department, announced.patterns) == ("loyalty", ("order.created.*",))


def test_its_queues_are_as_the_topology_wants_them(broker: Broker, loyalty: Any) -> None:
    broker.wait_for(lambda: "loyalty" in announcements.read(broker.amqp_url).latest)
    known = announcements.read(broker.amqp_url)
    found = check.Broker(broker.management)
    assert found.departments() == ["loyalty"]
    assert check.differences(found, shared(FAST_TIERS_S, SMALL_ARCHIVE_BYTES), known) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "body is not UTF-8 JSON"),
        (b"{}", "specversion is not 1.x"),
        (an_event(region="south").encode(), "data.region differs from the routing key"),
    ],
)
def test_what_it_cannot_read_is_parked_with_its_bytes(broker: Broker, loyalty: Any, body: bytes, reason: str) -> None:
    broker.publish_body(body, "order.created.north", message_id="7", headers={"theirs": "kept"})
    parked = broker.wait_message("loyalty.dead")
    headers = BusHeaders.read(parked.headers)
    assert (parked.body, parked.properties.message_id, parked.headers["theirs"]) == (body, "7", "kept")
    assert (headers.reason, headers.reason_class, headers.attempt) == (reason, "undecodable", 1)
    assert headers.routing_key == "order.created.north"
    assert headers.parked_at is not None


def test_it_takes_a_redriven_event_under_its_original_key(broker: Broker, loyalty: Any) -> None:
    reports = broker.tap("order.progressed.*")
    event = an_event(region="north")
    broker.publish_body(
        event.encode(), "loyalty", exchange="departments", headers={"bus-routing-key": "order.created.north"}
    )
    assert understood(broker.wait_message(reports)).data.order_number == event.data.order_number


def test_killed_under_work_it_loses_no_order(broker: Broker, loyalty: Any) -> None:
    reports = broker.tap("order.progressed.*")
    events = [an_event(region="north") for _ in range(200)]
    with broker.channel() as channel:
        for event in events:
            channel.basic_publish("events", "order.created.north", event.encode())
    broker.wait_for(lambda: broker.depth(reports) > 0)
    loyalty.kill()
    loyalty.start()
    expected = {result_id(event.id, "loyalty", "done") for event in events}
    seen: set[str] = set()

    def all_reported() -> bool:
        with broker.channel() as channel:
            while (got := channel.basic_get(reports, auto_ack=True))[0] is not None:
                seen.add(got[1].message_id)
        return seen >= expected

    broker.wait_for(all_reported, 30)
    assert seen == expected
    assert sorted(given(loyalty)) == sorted(event.id for event in events)
    broker.wait_for(lambda: broker.depth("loyalty") == 0)
    assert broker.depth("loyalty.dead") == 0


def test_event_that_comes_twice_is_given_points_once(broker: Broker, loyalty: Any) -> None:
    reports = broker.tap("order.progressed.*")
    event = an_event(region="north")
    for _ in range(2):
        broker.publish(event, "order.created.north")
    repeated = {broker.wait_message(reports).properties.message_id for _ in range(2)}
    assert repeated == {result_id(event.id, "loyalty", "done")}
    assert given(loyalty) == [event.id]


def test_what_fails_waits_in_a_tier_and_is_done_later(broker: Broker, loyalty: Any) -> None:
    reports = broker.tap("order.progressed.*")
    loyalty.points.mkdir()  # its file cannot be written
    event = an_event(region="north")
    broker.publish(event, "order.created.north")
    assert understood(broker.wait_message(reports)).data.state == "waiting"
    loyalty.points.rmdir()
    assert understood(broker.wait_message(reports)).data.state == "done"
    assert given(loyalty) == [event.id]


def test_what_fails_five_times_is_parked_and_reported(broker: Broker, loyalty: Any) -> None:
    reports = broker.tap("order.progressed.*")
    loyalty.points.mkdir()
    event = an_event(region="north")
    broker.publish(event, "order.created.north")
    parked = broker.wait_message("loyalty.dead", 20)
    headers = BusHeaders.read(parked.headers)
    assert (headers.attempt, headers.reason_class, headers.routing_key) == (5, "exhausted", "order.created.north")
    assert parked.body == event.encode()
    states = [understood(broker.wait_message(reports)).data.state for _ in range(2)]
    assert states == ["waiting", "attention"]


def test_it_ends_in_order_when_asked(broker: Broker, loyalty: Any) -> None:
    assert loyalty.stop() == 0
    assert broker.depth("loyalty") == 0
