"""Orders through the whole process: booked, refused, and what happens to broker, SAP and bridge meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from eventbus.contract import decode
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import Reports
from eventbus.testing.ports import free_port
from sap_sandbox.testing import RunningSandbox, running_sandbox

QUICK = {
    # a lease of 20 s in place of 90, for machines that cannot tell a dead worker
    "HANDLER_TIMEOUT_S": "10",
    "SAP_READ_TIMEOUT": "3",
    "SAP_CONNECT_TIMEOUT": "0.3",
    "SAP_SETTLE_S": "1",
}


@pytest.fixture
def slow_sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path, latency_median_ms=30) as running:
        yield running


def test_orders_are_booked_and_reported_with_saps_number_a_refused_one_is_parked_with_its_words(
    broker: Broker, sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports, mapping_file: Any
) -> None:
    bridge = start_bridge(broker, sandbox.url, SAP_MAPPING_FILE=mapping_file("{7: BLOCKED-7, 8: TG8}")).wait_ready()
    refused = an_event(product_ids=(7,), customer_name="Zoë Unlogged")
    events = [
        an_event(region=region, customer_name="Zoë Unlogged", product_ids=(8,)) for region in ("north", "south-2", "eu")
    ]
    publish([refused, *events, events[0]])
    wait_until(lambda: reports.done(events), 40, "all others are done")
    wait_until(lambda: reports.of(refused.subject) == ["attention"], 40, "the refused one needs a person")

    assert sandbox.stats()["references"] == {event.subject: 1 for event in events}
    assert {reports.last(event.subject).reference for event in events} == {"1", "2", "3"}
    assert bridge.metric('sap_answers_total{call="create",status="201",verdict="booked"}') == 3
    parked = broker.wait_message("sap_bridge.dead")
    assert parked.headers["bus-reason-class"] == "permanent"
    assert parked.headers["bus-reason"].startswith("SAP answered 400, ")
    assert "BLOCKED-7" in parked.headers["bus-reason"]
    assert bridge.end(signal.SIGTERM) == 0
    assert "Zoë" not in bridge.output()


def test_killed_while_booking_each_order_has_one_sales_order(
    broker: Broker, slow_sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    first = start_bridge(broker, slow_sandbox.url, **QUICK).wait_ready()
    events = [an_event() for _ in range(40)]
    publish(events)
    wait_until(lambda: slow_sandbox.stats()["orders"] >= 10, 40, "some orders are booked")
    first.end(signal.SIGKILL)
    announcements = broker.tap("department.joined.sap_bridge")
    start_bridge(broker, slow_sandbox.url, **QUICK)
    wait_until(lambda: reports.done(events), 90, "all orders are done")

    assert slow_sandbox.stats()["references"] == {event.subject: 1 for event in events}
    message = broker.wait_message(announcements)
    joined = decode(message.body, message.properties.content_type, message.routing_key).data
    assert began < joined.remembers_since < datetime.now(UTC), "as far back as its ledger"


def test_sap_away_orders_wait_and_are_booked_when_it_is_back(
    broker: Broker, tmp_path: Path, start_bridge: Any, publish: Any, reports: Reports
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/sap/opu/odata/sap/API_SALES_ORDER_SRV"
    start_bridge(broker, url).wait_ready()
    events = [an_event() for _ in range(10)]
    publish(events)
    wait_until(lambda: reports.of(events[0].subject) == ["waiting"], 40, "the first is reported as waiting")

    sandbox = subprocess.Popen(
        [sys.executable, "-m", "sap_sandbox"],
        env=os.environ | {"SAP_SANDBOX_PORT": str(port), "SAP_SANDBOX_DATABASE_URL": f"sqlite:///{tmp_path}/sap.db"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: reports.done(events), 90, "all orders are done")
        references = requests.get(f"http://127.0.0.1:{port}/_sim/stats", timeout=5).json()["references"]
    finally:
        sandbox.terminate()
        sandbox.wait(20)
    assert references == {event.subject: 1 for event in events}
    assert broker.depth("sap_bridge.dead") == 0


def test_wrong_configuration_ends_with_one_line_and_78(process_environ: dict[str, str]) -> None:
    environ = process_environ | {"SAP_URL": "https://sap.example/srv"}
    ended = subprocess.run(
        [sys.executable, "-m", "sap_bridge"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 78
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("configuration: ")
    assert "SAP_SETTLE_S" in ended.stderr.splitlines()[-1]
