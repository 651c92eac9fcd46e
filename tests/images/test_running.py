"""The compose files' services, end to end: an order through all of them, and SIGTERM to each under work."""

import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from eventbus.testing.waiting import wait_until

from .engine import ROOT
from .stack import Stack

DONE_S = 180
GRACES_S = {
    name: int(str(service["stop_grace_period"]).removesuffix("s"))
    for file in sorted(ROOT.glob("services/*/compose.yaml"))
    for name, service in yaml.safe_load(file.read_text())["services"].items()
    if "stop_grace_period" in service and "profiles" not in service and name != "sap-sandbox"
}
WHO = "import json, os; print(json.dumps([os.getuid(), os.readlink('/proc/1/exe'), os.access('/', os.W_OK)]))"


class Customers:
    """Places orders one after another; each again until it is taken."""

    def __init__(self, stack: Stack) -> None:
        self.numbers: list[str] = []
        self._stack = stack
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._place_all)

    def __enter__(self) -> "Customers":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        self._thread.join()

    def place(self) -> str:
        key = str(uuid.uuid4())
        order = {"customer_name": "Daníel", "product_ids": [2, 4, 42]}

        def taken() -> str:
            try:
                answer = requests.post(
                    f"{self._stack.gateway}/orders", json=order, headers={"Idempotency-Key": key}, timeout=10
                )
            except requests.RequestException:
                return ""
            return str(answer.json()["order_number"]) if answer.status_code in (200, 201) else ""

        number = wait_until(taken, DONE_S, "the order is taken")
        self.numbers.append(number)
        return number

    def _place_all(self) -> None:
        while not self._ending.wait(0.05):
            self.place()


@pytest.fixture(scope="module")
def customers(stack: Stack) -> Customers:
    return Customers(stack)


def done(stack: Stack, number: str) -> dict[str, Any]:
    order = wait_until(lambda: (o := stack.order(number))["status"] == "done" and o, DONE_S, f"{number} is done")
    return dict(order["departments"])


def test_order_reaches_every_department(stack: Stack, customers: Customers, tmp_path: Path) -> None:
    number = customers.place()
    departments = done(stack, number)
    assert {name: result["state"] for name, result in departments.items()} == {
        "marketing": "done", "printer": "done", "sap_bridge": "done",
    }  # fmt: skip
    references = requests.get(f"{stack.sandbox}/_sim/stats", timeout=10).json()["references"]
    assert departments["sap_bridge"]["reference"]
    assert references[number] == 1
    assert requests.get(f"{stack.marketing}/stats", timeout=10).json()["orders"] == 1
    slip = tmp_path / "slip.pdf"
    stack.engine.run("cp", f"{stack.containers['printer']}:/slips/{departments['printer']['reference']}", str(slip))
    assert slip.read_bytes().startswith(b"%PDF")


def test_every_process_is_pid_1_of_nobody_on_a_read_only_root(stack: Stack) -> None:
    assert {*GRACES_S, "sap-sandbox"} == set(stack.own)
    for service in stack.own:
        uid, program, writable = stack.python(service, WHO)
        assert (uid, "python" in program, writable) == (10001, True, False), service


@pytest.mark.parametrize(("service", "grace_s"), sorted(GRACES_S.items()))
def test_sigterm_under_work_drains_in_time(
    stack: Stack, customers: Customers, service: str, grace_s: int, report: list[str]
) -> None:
    with Customers(stack) as others:
        wait_until(lambda: len(others.numbers) >= 10, DONE_S, "work is under way")
        code, seconds = stack.stop(service, grace_s)
        stack.start(service)
    wait_until(lambda: stack.is_healthy(service), DONE_S, f"{service} is healthy again")
    customers.numbers += others.numbers
    report.append(f"{service:<12} SIGTERM under work: exit code {code} after {seconds:.1f} s of {grace_s}")
    assert (code, seconds < grace_s) == (0, True)


def test_in_the_end_every_order_is_done_once(stack: Stack, customers: Customers, report: list[str]) -> None:
    for number in customers.numbers:
        done(stack, number)
    stats = requests.get(f"{stack.sandbox}/_sim/stats", timeout=10).json()
    assert stats["references"] == dict.fromkeys(customers.numbers, 1)
    assert requests.get(f"{stack.marketing}/stats", timeout=10).json()["orders"] == len(customers.numbers)
    slips = stack.python("printer", "import json, os; print(json.dumps(os.listdir('/slips')))")
    assert {slip.removesuffix(".pdf") for slip in slips if slip.endswith(".pdf")} == set(customers.numbers)
    report.append(f"{len(customers.numbers)} orders: each once in SAP, once counted, one slip")
