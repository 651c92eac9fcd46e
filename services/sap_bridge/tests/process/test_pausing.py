"""What SAP asks of everybody, and what one order has to wait for: no worker is held, no order is parked for it, and the
others go on where they can."""

import signal
from pathlib import Path
from typing import Any

from eventbus.contract import Event
from eventbus.department.ledger import Key, Ledger
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import Reports
from sap_bridge import schema
from sap_sandbox.testing import RunningSandbox

from eventbus import database

PAUSED = 'bus_paused{department="sap_bridge"}'


def once_each(sandbox: RunningSandbox, events: list[Event[Any]]) -> bool:
    return bool(sandbox.stats()["references"] == {event.subject: 1 for event in events})


def test_sap_asks_all_to_wait_workers_are_free_and_the_breaker_stays_closed(
    broker: Broker, sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports
) -> None:
    rule = sandbox.fault("429", retry_after=1)
    bridge = start_bridge(broker, sandbox.url).wait_ready()
    events = [an_event() for _ in range(40)]
    publish(events)
    wait_until(lambda: sandbox.fired(rule) >= 1, 30, "SAP asks for a pause")

    for _ in range(2):
        wait_until(lambda: broker.depth("sap_bridge") == 0 and bridge.idle(), 30, "no worker is held")
        assert bridge.condition()["breaker"] == "closed"
    assert sandbox.fired(rule) < len(events), "the pause is everybody's: most have not been sent in vain"
    sandbox.clear_faults()
    wait_until(lambda: reports.done(events), 60, "all orders are done")

    assert once_each(sandbox, events)
    assert bridge.entries("paused") == []
    assert broker.depth("sap_bridge.dead") == 0


def test_order_waits_for_a_lease_or_the_settle_time_and_others_are_booked(
    broker: Broker, sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports, tmp_path: Path
) -> None:
    bridge = start_bridge(broker, sandbox.url, SAP_SETTLE_S="3").wait_ready()
    held, *lost = [an_event() for _ in range(4)]
    engine = database.create_engine(f"sqlite:///{tmp_path}/bridge.db")
    with engine.begin() as connection:  # as a bridge on another machine
        Ledger(schema.ledger).claim(
            connection, Key(held.subject, held.type), held.id, "elsewhere", 3, final_states=("booked",)
        )
    engine.dispose()
    for event in lost:
        sandbox.fault("drop-before-commit", count=1, reference=event.subject)
    publish([held, *lost])
    wait_until(lambda: all("waiting" in reports.of(event.subject) for event in lost), 30, "replies are lost")
    others = [an_event() for _ in range(10)]
    publish(others)
    wait_until(lambda: reports.done(others), 30, "the others are done")

    wait_until(bridge.idle, 30, "no worker is held")
    assert bridge.condition()["breaker"] == "closed"
    wait_until(lambda: reports.done([held, *lost]), 60, "those that had to wait are done")
    assert once_each(sandbox, [held, *lost, *others])
    assert bridge.entries("paused") == []


def test_sap_refuses_everybody_nothing_is_parked_and_it_goes_on_by_itself(
    broker: Broker, sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports
) -> None:
    sandbox.fault("401")
    sandbox.fault("401", call="login")
    bridge = start_bridge(broker, sandbox.url).wait_ready()
    events = [an_event() for _ in range(20)]
    publish(events)
    wait_until(lambda: bridge.entries("paused"), 30, "the bridge pauses")

    alarm = bridge.entries("paused")[0]
    assert (alarm["level"], alarm["cause"], alarm["reason"]) == ("warning", "blocked", "login: SAP answered 401")
    assert bridge.ready()
    assert bridge.metric(PAUSED) == 1
    assert [reports.of(event.subject) for event in events] == [[]] * 20
    sandbox.clear_faults()
    wait_until(lambda: reports.done(events), 60, "all orders are done")

    assert once_each(sandbox, events)
    assert bridge.entries("resumed")
    assert broker.depth("sap_bridge.dead") == 0


def test_wrong_mapping_parks_twenty_orders_and_not_a_day_of_them(
    broker: Broker, sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports, mapping_file: Any
) -> None:
    wrong = mapping_file("{'*': 'BLOCKED-{product_id}'}")
    bridge = start_bridge(broker, sandbox.url, SAP_MAPPING_FILE=wrong).wait_ready()
    events = [an_event() for _ in range(40)]
    publish(events)
    wait_until(lambda: bridge.metric(PAUSED) == 1 and bridge.idle(), 30, "the bridge pauses")

    parked = [event for event in events if reports.of(event.subject) == ["attention"]]
    assert len(parked) == broker.depth("sap_bridge.dead") == 20
    assert bridge.condition()["paused_by"].startswith("SAP answered 400, ")
    assert bridge.end(signal.SIGTERM) == 0
    start_bridge(broker, sandbox.url, SAP_MAPPING_FILE=mapping_file("{'*': 'TG{product_id}'}"))
    others = [event for event in events if event not in parked]
    wait_until(lambda: reports.done(others), 60, "all others are done with the right mapping")
    assert once_each(sandbox, others)
