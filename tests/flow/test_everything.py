"""The whole bus, as `make run` and `make demo` start it: real services, a private broker."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import requests
from eventbus.testing.waiting import wait_until

SAMPLE = {"customer_name": "Daníel", "products_ids": [2, 4, 42]}
DONE_WITHIN_S = 90


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


def users_connected(launcher: Any) -> set[str]:
    connections = requests.get(f"{launcher.variables['MANAGEMENT_URL']}/api/connections", timeout=10).json()
    return {connection["user"] for connection in connections if "user" in connection}


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


def test_broker_killed_and_all_stopped_and_started_again_every_order_is_kept_and_done(whole_project: Any) -> None:
    first = whole_project.launch().started()
    wait_until_done(first, [place(first)])
    every_service = {"marketing", "orders", "orders-relay", "printer", "sap_bridge"}
    wait_until(lambda: users_connected(first) == every_service, 30, "each is connected as its own user")
    os.kill(int((first.instance / "broker/rabbitmq.pid").read_text()), signal.SIGKILL)
    numbers = [place(first) for _ in range(5)]
    wait_until_done(first, numbers)
    numbers.append(place(first))
    assert first.interrupt() == 0
    assert first.left_running() == []
    second = whole_project.launch().started()
    assert numbers == list(wait_until_done(second, numbers))
    references = requests.get(second.variables["SAP_STATS_URL"], timeout=10).json()["references"]
    assert {references[number] for number in numbers} == {1}
    slips = {slip.stem for slip in Path(second.variables["SLIPS_DIR"]).glob("*.pdf")}
    assert set(numbers) <= slips
    assert requests.get(f"{second.variables['MARKETING_URL']}/stats", timeout=10).json()["orders"] == 7
    assert second.interrupt() == 0
