"""Orders under way while SAP ends all sessions again and again: the department's process, eventlet and all."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import Reports
from sap_sandbox.testing import RunningSandbox, running_sandbox

ORDERS, WORKERS, KILLED_EVERY_S = 400, 16, 0.6


@pytest.fixture
def busy_sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path, latency_median_ms=100, work_processes=WORKERS) as running:
        yield running


def test_sessions_die_under_sixteen_workers_every_order_is_booked_once_at_the_first_attempt(
    broker: Broker, busy_sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports
) -> None:
    bridge = start_bridge(broker, busy_sandbox.url, SAP_MAX_CONCURRENCY=str(WORKERS)).wait_ready()
    busy_sandbox.expire_sessions(every_s=KILLED_EVERY_S)
    events = [an_event() for _ in range(ORDERS)]
    began = time.monotonic()
    publish(events)
    wait_until(lambda: busy_sandbox.stats()["orders"] >= ORDERS, 90, "all orders are booked")
    seconds = time.monotonic() - began
    wait_until(lambda: reports.done(events), 60, "all orders are done")

    stats = busy_sandbox.stats()
    killed = sum(rule["fired"] for rule in busy_sandbox.faults())
    failed = {event.data.order_number for event in reports.heard if event.data.state != "done"}
    sys.stdout.write(
        f"{ORDERS} orders, {WORKERS} workers, sessions killed {killed} times (every {KILLED_EVERY_S} s): "
        f"{seconds:.1f} s, {stats['csrf_refusals']} answers 403, {bridge.metric('sap_logins_total'):.0f} logins, "
        f"most at once {stats['max_concurrency']}, {len(failed)} orders failed\n"
    )
    assert stats["references"] == {event.subject: 1 for event in events}
    assert not failed
    assert stats["csrf_refusals"] > 0
    assert stats["token_fetches"] <= killed + 1, "one login for each session that was killed"
