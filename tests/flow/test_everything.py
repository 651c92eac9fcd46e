"""The whole bus, as `make run` and `make demo` start it: real services, a private broker."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from eventbus.testing.waiting import wait_until

SAMPLE = {"customer_name": "Daníel", "products_ids": [2, 4, 42]}
DONE_WITHIN_S = 90


@pytest.fixture
def everything(whole_project: Any) -> Iterator[Any]:
    """A started launcher of all services."""
    launcher = whole_project.launch().started()
    yield launcher
    assert launcher.interrupt() == 0
    assert launcher.left_running() == []


def place(launcher: Any) -> str:
    answer = requests.post(f"{launcher.variables['GATEWAY_URL']}/orders", json=SAMPLE, timeout=10)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["order_number"])


def wait_until_done(launcher: Any, numbers: list[str]) -> dict[str, Any]:
    """The departments' results for each order."""
    url = launcher.variables["GATEWAY_URL"]

    def all_done() -> list[dict[str, Any]]:
        orders = [requests.get(f"{url}/orders/{number}", timeout=10).json() for number in numbers]
        return orders if all(order["status"] == "done" for order in orders) else []

    return {order["order_number"]: order["departments"] for order in wait_until(all_done, DONE_WITHIN_S)}


def test_demo_ends_with_every_order_booked_counted_and_printed(whole_project: Any) -> None:
    demo = whole_project.launch("demo")
    assert demo.process.wait(180) == 0, demo.text
    rows = [line.split() for line in demo.text.splitlines() if re.match(r"  \w{4}-\w{4}-\w{4}   done", line)]
    assert len(rows) == 3
    slips = [whole_project.root / row[-1] for row in rows]
    assert all(slip.read_bytes().startswith(b"%PDF") for slip in slips)
    assert "Orders counted: 3" in demo.text
    assert demo.left_running() == []
    assert [path.name for path in (whole_project.root / "var").iterdir()] == ["demo"]


def test_broker_killed_orders_are_still_taken_and_done_when_it_is_back(everything: Any) -> None:
    wait_until_done(everything, [place(everything)])
    os.kill(int((everything.instance / "broker/rabbitmq.pid").read_text()), signal.SIGKILL)
    numbers = [place(everything) for _ in range(5)]
    wait_until_done(everything, numbers)
    references = requests.get(everything.variables["SAP_STATS_URL"], timeout=10).json()["references"]
    assert {references[number] for number in numbers} == {1}
    slips = {slip.stem for slip in Path(everything.variables["SLIPS_DIR"]).glob("*.pdf")}
    assert set(numbers) <= slips
    assert requests.get(f"{everything.variables['MARKETING_URL']}/stats", timeout=10).json()["orders"] == 6


def test_everything_stopped_and_started_again_keeps_its_orders(whole_project: Any) -> None:
    first = whole_project.launch().started()
    number = place(first)
    assert first.interrupt() == 0
    second = whole_project.launch().started()
    assert number in wait_until_done(second, [number])
    assert second.interrupt() == 0
