"""Work processes: how many at once, how many wait, and that what was taken is worked on to its end."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import requests
from sap_sandbox.work_processes import OverloadedError, WorkProcesses


def test_more_than_work_processes_and_queue_are_refused(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any, in_background: Any, wait_until: Any
) -> None:
    sandbox = start_sandbox(work_processes=2, queue_max=1, latency_median_ms=1200, latency_sigma=0)
    caller = log_on(sandbox)

    def stats() -> Any:
        return requests.get(sandbox.stats_url, timeout=10).json()

    accepted = [in_background(lambda: caller.create(an_order("TAKEN"))) for _ in range(3)]
    wait_until(lambda: stats()["in_hand"] == 3)
    refused = caller.create(an_order("REFUSED"))
    wait_until(lambda: all(accepted))

    assert refused.status_code == 503
    assert not refused.headers["content-type"].startswith("application/json")
    assert [answers[0].status_code for answers in accepted] == [201, 201, 201]
    after = stats()
    assert after["references"] == {"TAKEN": 3}
    assert after["max_concurrency"] == 3
    assert after["max_work_processes"] == 2
    assert after["overload_refusals"] == 1
    assert after["in_hand"] == 0


def test_order_is_booked_after_its_client_gave_up(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any, wait_until: Any
) -> None:
    sandbox = start_sandbox(latency_median_ms=1200, latency_sigma=0)
    caller = log_on(sandbox)

    connection = caller.begin_create(an_order("LATE"))
    wait_until(lambda: requests.get(sandbox.stats_url, timeout=10).json()["in_hand"] == 1)
    connection.close()

    look_up = "PurchaseOrderByCustomer eq 'LATE'"
    assert caller.references(filter=look_up) == []  # a look-up alone would now send it again
    wait_until(lambda: caller.references(filter=look_up) == ["LATE"])


def test_order_whose_body_never_came_whole_is_not_booked(
    start_sandbox: Any, log_on: Callable[..., Any], wait_until: Any
) -> None:
    sandbox = start_sandbox()
    caller = log_on(sandbox)
    host, _, port = sandbox.origin.removeprefix("http://").partition(":")
    path = caller.url.removeprefix(sandbox.origin)
    head = f"POST {path}/A_SalesOrder HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{"

    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode())

    assert requests.get(sandbox.stats_url, timeout=10).json()["posts"] == 0
    assert caller.get("/").status_code == 200


def test_step_goes_on_when_its_caller_is_cancelled() -> None:
    async def scenario() -> list[str]:
        work_processes, done, may_end = WorkProcesses(1, 0), list[str](), asyncio.Event()

        async def step() -> None:
            await may_end.wait()
            done.append("booked")

        caller = asyncio.create_task(work_processes.run(step))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert work_processes.in_hand == 1
        with pytest.raises(OverloadedError):
            await work_processes.run(step)
        may_end.set()
        await work_processes.drain()
        return done

    assert asyncio.run(scenario()) == ["booked"]
