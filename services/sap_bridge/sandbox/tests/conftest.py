"""A sandbox for the tests, a caller of it, and builders."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
from sap_sandbox.service import ROOT
from sap_sandbox.testing import RunningSandbox, running_sandbox

DEADLINE_S = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "start_process" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.process)


class Caller:
    """A client with one login: its cookies and the token that belongs to them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.auth: tuple[str, str] | None = ("WEBSHOP", "sandbox")
        self.headers = {"Accept": "application/json"}
        self.cookies: dict[str, str] = {}

    def log_on(self) -> requests.Response:
        self.cookies = {}
        self.headers.pop("X-CSRF-Token", None)
        answer = self.get("/", {"X-CSRF-Token": "Fetch"})
        assert answer.status_code == 200, answer.text
        self.cookies = answer.cookies.get_dict()
        self.headers["X-CSRF-Token"] = answer.headers["x-csrf-token"]
        return answer

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        params = {f"${name}": value for name, value in query.items()}
        return self.request("GET", path, headers, params=params)

    def create(self, order: Any, headers: dict[str, str] | None = None, **options: Any) -> requests.Response:
        return self.request("POST", "/A_SalesOrder", headers, json=order, **options)

    def begin_create(self, order: Any) -> HTTPConnection:
        """Send the order and leave the answer unread: closing the connection is a client that gives up."""
        origin, slash, path = self.url.removeprefix("http://").partition("/")
        connection = HTTPConnection(origin, timeout=DEADLINE_S)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = self.headers | {"Cookie": cookies, "Content-Type": "application/json"}
        connection.request("POST", f"{slash}{path}/A_SalesOrder", json.dumps(order), headers)
        return connection

    def send(self, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        return self.request("POST", "/A_SalesOrder", {"Content-Type": "application/json"} | (headers or {}), data=body)

    def references(self, **query: Any) -> list[str]:
        answer = self.get("/A_SalesOrder", **query)
        assert answer.status_code == 200, answer.text
        return [entry["PurchaseOrderByCustomer"] for entry in answer.json()["d"]["results"]]

    def request(self, method: str, path: str, headers: dict[str, str] | None, **options: Any) -> requests.Response:
        return requests.request(
            method,
            self.url + path,
            auth=self.auth,
            headers=self.headers | (headers or {}),
            cookies=self.cookies,
            timeout=options.pop("timeout", DEADLINE_S),
            allow_redirects=False,
            **options,
        )


class StartSandbox(Protocol):
    def __call__(self, **changes: Any) -> RunningSandbox: ...


class AnOrder(Protocol):
    def __call__(self, reference: str = ..., **changes: Any) -> dict[str, Any]: ...


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """The shipped sandbox, shared by tests that leave its sessions and limits alone."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def start_sandbox(tmp_path: Path) -> Iterator[StartSandbox]:
    """Starts a sandbox of the test's own, with settings of its own."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running_sandbox(tmp_path, **changes))


@pytest.fixture
def caller(sandbox: RunningSandbox) -> Caller:
    """A client of the shared sandbox that is logged on."""
    caller = Caller(sandbox.url)
    caller.log_on()
    return caller


@pytest.fixture
def faulty(sandbox: RunningSandbox, caller: Any) -> Any:
    """The shared sandbox without rules, before and after; its client is logged on."""
    sandbox.clear_faults()
    yield sandbox
    sandbox.clear_faults()


@pytest.fixture
def log_on() -> Callable[[RunningSandbox], Caller]:
    """Makes a client of that sandbox that is logged on."""

    def logged_on(sandbox: RunningSandbox) -> Caller:
        caller = Caller(sandbox.url)
        caller.log_on()
        return caller

    return logged_on


@pytest.fixture
def an_order() -> AnOrder:
    """Builds the body of a create. A change to `...` leaves the property out."""

    def build(reference: str = "WEB-1", **changes: Any) -> dict[str, Any]:
        order = {
            "SalesOrderType": "OR",
            "SalesOrganization": "1710",
            "DistributionChannel": "10",
            "OrganizationDivision": "00",
            "SoldToParty": "17100001",
            "PurchaseOrderByCustomer": reference,
            "to_Item": [{"Material": "TG11", "RequestedQuantity": "1"}],
        } | changes
        return {name: value for name, value in order.items() if value is not ...}

    return build


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition; fails at the deadline."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.01)

    return wait


@pytest.fixture
def in_background() -> Iterator[Callable[[Callable[[], Any]], list[Any]]]:
    """Calls a function in a thread; the list that is returned gets its result. All have ended after the test."""
    threads = []

    def start(function: Callable[[], Any]) -> list[Any]:
        results: list[Any] = []
        threads.append(threading.Thread(target=lambda: results.append(function())))
        threads[-1].start()
        return results

    yield start
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


class SandboxProcess:
    """`python -m sap_sandbox` on a free port, with its database in a folder."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.log = folder / "log"
        environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "SAP_SANDBOX_PORT": "0"} | environ
        with self.log.open("ab") as log:
            start = log.tell()
            self.process = subprocess.Popen([sys.executable, "-m", "sap_sandbox"], env=environ, stderr=log)
        self._start = start

    @property
    def output(self) -> str:
        return self.log.read_bytes()[self._start :].decode()

    def caller(self) -> Caller:
        """A client, once the sandbox listens."""
        deadline = time.monotonic() + DEADLINE_S
        marker = "Uvicorn running on "
        while marker not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
        self.origin = self.output.partition(marker)[2].split()[0]
        caller = Caller(self.origin + ROOT)
        caller.log_on()
        return caller

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = requests.get(f"{self.origin}/_sim/stats", timeout=DEADLINE_S).json()
        return stats

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


class StartProcess(Protocol):
    def __call__(self, **environ: str) -> SandboxProcess: ...


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[StartProcess]:
    """Starts the sandbox as a process; all of a test share one database."""
    started: list[SandboxProcess] = []

    def start(**environ: str) -> SandboxProcess:
        started.append(SandboxProcess(tmp_path, environ))
        return started[-1]

    yield start
    for sandbox in started:
        if sandbox.process.poll() is None:
            sandbox.process.kill()
        sandbox.process.wait()
