"""`kill -9` in the middle of the work: afterwards each order has exactly one effect in each department."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from eventbus.testing.waiting import wait_until

ORDERS = int(os.environ.get("FLOW_ORDERS", "150"))
DONE_WITHIN_S = 60 + ORDERS / 5
DEPARTMENTS = ("sap_bridge", "marketing", "printer")


def process(instance: Path, command: str) -> int:
    """The process of that instance whose command line ends so."""

    def find() -> int:
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    arguments = (folder / "cmdline").read_bytes().split(b"\0")
                    environ = (folder / "environ").read_bytes()
                except OSError:
                    continue
                ours = f"INSTANCE_DIR={instance}\0".encode() in environ + b"\0"
                if ours and b" ".join(arguments).strip().decode(errors="replace").endswith(command):
                    return int(folder.name)
        return 0

    return wait_until(find, 20, command)


class Shop:
    """Places orders, and counts from outside what became of them."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables
        self.numbers: list[str] = []

    def place(self, count: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            self.numbers += pool.map(self._place_one, range(count))

    def _place_one(self, index: int) -> str:
        order = {"customer_name": f"Customer {index % 7}", "product_ids": [index % 50 + 1, 2]}
        answer = requests.post(f"{self.variables['GATEWAY_URL']}/orders", json=order, timeout=10)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["order_number"])

    def booked(self) -> dict[str, int]:
        return dict(requests.get(self.variables["SAP_STATS_URL"], timeout=10).json()["references"])

    def counted(self) -> int:
        return int(requests.get(f"{self.variables['MARKETING_URL']}/stats", timeout=10).json()["orders"])

    def printed(self) -> Counter[str]:
        return Counter(path.stem for path in Path(self.variables["SLIPS_DIR"]).glob("*.pdf"))

    def statuses(self) -> Counter[str]:
        url = self.variables["GATEWAY_URL"]
        with ThreadPoolExecutor(4) as pool:
            return Counter(
                pool.map(lambda n: requests.get(f"{url}/orders/{n}", timeout=10).json()["status"], self.numbers)
            )

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.variables['GATEWAY_URL']}/healthz", timeout=1).ok
        except requests.ConnectionError:
            return False

    def wait_until_done(self) -> None:
        wait_until(lambda: len(self.booked()) >= len(self.numbers), DONE_WITHIN_S, "booked in SAP")
        wait_until(lambda: self.statuses() == {"done": len(self.numbers)}, 60, "all done")


@pytest.fixture
def shop(whole_project: Any) -> Any:
    launcher = whole_project.launch().started()
    shop = Shop(launcher.variables)
    yield shop
    assert launcher.interrupt() == 0
    assert launcher.left_running() == []


def test_relay_departments_and_gateway_killed_each_order_has_one_effect_everywhere(shop: Shop) -> None:
    instance = Path(shop.variables["INSTANCE_DIR"])
    relay = process(instance, "-m orders relay")
    os.kill(relay, signal.SIGSTOP)  # the rows stay unsent
    shop.place(ORDERS)
    os.kill(relay, signal.SIGKILL)
    for department in DEPARTMENTS:
        wait_until(lambda: len(shop.booked()) > ORDERS // 10, DONE_WITHIN_S, "work under way")
        os.kill(process(instance, f"-m {department}"), signal.SIGKILL)
    os.kill(process(instance, "-m orders gateway"), signal.SIGKILL)
    wait_until(shop.answers, 30, "the gateway is back")
    shop.place(5)
    shop.wait_until_done()
    assert shop.booked() == dict.fromkeys(shop.numbers, 1)
    assert shop.printed() == Counter(shop.numbers)
    assert shop.counted() == len(shop.numbers)
