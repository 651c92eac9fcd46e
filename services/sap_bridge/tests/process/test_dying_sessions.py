"""Orders under way while SAP ends all sessions again and again: the department's process, eventlet and all."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import Reports
from sap_sandbox.testing import RunningSandbox, running_sandbox

ORDERS, WORKERS, KILLED_AFTER = 80, 16, 10


@pytest.fixture
def busy_sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path, latency_median_ms=100, work_processes=WORKERS) as running:
        yield running


def has_booked(sandbox: RunningSandbox, orders: int) -> bool:
    return int(sandbox.stats()["orders"]) >= orders


def test_sessions_die_under_sixteen_workers_every_order_is_booked_once_at_the_first_attempt(
    broker: Broker, busy_sandbox: RunningSandbox, start_bridge: Any, publish: Any, reports: Reports
) -> None:
    """By bookings, not by the clock, which a busy machine does not keep up with."""
    bridge = start_bridge(broker, busy_sandbox.url, SAP_MAX_CONCURRENCY=str(WORKERS)).wait_ready()
    events = [an_event() for _ in range(ORDERS)]
    publish(events)
    kills = range(KILLED_AFTER, ORDERS, KILLED_AFTER)
    for booked in kills:
        wait_until(partial(has_booked, busy_sandbox, booked), 60, f"{booked} orders are booked")
        busy_sandbox.expire_sessions()
    wait_until(lambda: reports.done(events), 60, "all orders are done")

    stats = busy_sandbox.stats()
    failed = {event.data.order_number for event in reports.heard if event.data.state != "done"}
    sys.stdout.write(
        f"{ORDERS} orders, {WORKERS} workers, sessions killed {len(kills)} times: "
        f"{stats['csrf_refusals']} answers 403, {bridge.metric('sap_logins_total'):.0f} logins, "
        f"most at once {stats['max_concurrency']}, {len(failed)} orders failed\n"
    )
    assert stats["references"] == {event.subject: 1 for event in events}
    assert not failed
    assert stats["csrf_refusals"] > 0
    assert stats["token_fetches"] <= len(kills) + 1, "one login for each session that was killed"
