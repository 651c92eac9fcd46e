"""The breaker at work: a department whose target is away pauses, loses nothing and goes on by itself."""

import json
from typing import Any

from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import Reports
from eventbus.testing.waiting import wait_until


def test_target_down_pauses_and_heals_with_few_calls(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(breaker_open_s=0.5, max_workers=5)
    events = [an_event() for _ in range(50)]
    for event in events:
        probe.script(event.subject, ["until file", "healed", ["transient"]])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: probe.condition().get("breaker") not in ("closed", None))
    assert probe.get("/readyz")[0] == 200, "a paused department is ready"
    assert probe.condition()["paused_by"] == "target away"
    wait_until(lambda: probe.metric('bus_paused{department="probe"}') == 1.0)
    calls = sum(probe.calls(event.subject) for event in events)
    assert calls <= 15, "prefetched events were not all run against a dead target"
    (probe.folder / "healed").touch()
    wait_until(lambda: all("done" in reports.of(event.subject) for event in events), 30)
    assert probe.condition()["breaker"] == "closed"
    assert broker.depth("probe.dead") == 0


def test_blocked_pauses_at_once_and_counts_no_attempt(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe()
    event = an_event()
    probe.script(event.subject, ["until file", "healed", ["blocked"]])
    probe.wait_ready()
    broker.publish(event, "order.created.north")
    wait_until(lambda: probe.condition().get("breaker") not in ("closed", None))
    wait_until(lambda: probe.calls(event.subject) >= 3)
    assert reports.of(event.subject) == []
    (probe.folder / "healed").touch()
    wait_until(lambda: reports.of(event.subject) == ["done"])


def test_twenty_permanents_in_a_row_pause_in_place_of_parking_a_day_of_orders(
    broker: Broker, start_probe: Any, reports: Reports
) -> None:
    probe = start_probe(max_workers=1)
    events = [an_event() for _ in range(30)]
    for event in events:
        probe.script(event.subject, ["until file", "healed", ["permanent"]])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: probe.condition().get("breaker") not in ("closed", None), 20)
    assert broker.depth("probe.dead") == 20
    (probe.folder / "healed").touch()
    wait_until(lambda: sum(reports.of(event.subject) == ["done"] for event in events) == 10, 30)
    assert broker.depth("probe.dead") == 20


def test_paused_department_drains_at_once(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe(breaker_open_s=60)
    events = [an_event() for _ in range(5)]
    for event in events:
        probe.script(event.subject, ["blocked"])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: probe.condition().get("breaker") == "open")
    assert probe.stop() == 0
    wait_until(lambda: broker.depth("probe") == 5, what="all events back in the queue, none lost")


def test_batches_are_filled_and_cut_by_time(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe("BatchProbe").wait_ready()
    events = [an_event() for _ in range(25)]
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: all(reports.of(event.subject) == ["done"] for event in events), 20)
    sizes = [int(line) for line in (probe.folder / "batches").read_text().split()]
    assert sum(sizes) == 25
    assert max(sizes) <= 10


def test_one_bad_event_in_a_batch_is_parked_alone(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe("BatchProbe")
    events = [an_event() for _ in range(8)]
    (probe.folder / f"{events[3].subject}.json").write_text(json.dumps([["permanent"]]))
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: all(reports.of(e.subject) for e in events), 20)
    assert reports.of(events[3].subject) == ["attention"]
    assert all(reports.of(e.subject) == ["done"] for e in events if e is not events[3])
    assert broker.wait_message("probe.dead").properties.message_id == events[3].id


def test_single_calls_of_a_batch_end_at_a_dead_target(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe("BatchProbe", breaker_failures=1, breaker_open_s=0.5)
    events = [an_event() for _ in range(8)]
    for event in events:
        probe.script(event.subject, ["transient"])
    probe.script(events[0].subject, ["permanent"])
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: probe.condition().get("breaker") not in ("closed", None))
    for event in events[1:]:
        (probe.folder / f"{event.subject}.json").unlink()
    wait_until(lambda: all("done" in reports.of(e.subject) for e in events[1:]), 20)
    assert broker.depth("probe.dead") == 1


def test_dead_target_under_a_batch_is_one_failure(broker: Broker, start_probe: Any, reports: Reports) -> None:
    probe = start_probe("BatchProbe")
    events = [an_event() for _ in range(8)]
    (probe.folder / f"{events[0].subject}.json").write_text(json.dumps([["transient"]]))
    probe.wait_ready()
    for event in events:
        broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(events[0].subject) == ["waiting"])
    assert probe.condition()["breaker"] == "closed"
    (probe.folder / f"{events[0].subject}.json").unlink()
    wait_until(lambda: all("done" in reports.of(e.subject) for e in events), 20)
