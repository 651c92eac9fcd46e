"""The gateway as a process: start, configuration, SIGTERM, its log."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from eventbus.testing.waiting import wait_until

BODY = b'{"customer_name": "Dan\xc3\xadel", "product_ids": [2, 4, 42]}'
HEAD = b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start_process(tmp_path: Path, port: int, log: Path) -> Iterator[Start]:
    """Starts `python -m orders …`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str = "gateway", **environment: str) -> subprocess.Popen[bytes]:
        environment = {"DATA_DIR": str(tmp_path), "GATEWAY_PORT": str(port), "LOG_FORMAT": "json"} | environment
        inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        with log.open("ab") as output:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "orders", command], env=inherited | environment, stderr=output, cwd=tmp_path
                )
            )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def up(port: int) -> Callable[[], bool]:
    def is_up() -> bool:
        try:
            return bool(httpx.get(f"http://127.0.0.1:{port}/readyz").json()["database"] == "up")
        except httpx.TransportError:
            return False

    return lambda: wait_until(is_up, 30, "the gateway is up")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_sigterm_answers_what_is_under_way_and_exits_0(start_process: Start, up: Any, port: int) -> None:
    process = start_process()
    up()
    idle = socket.create_connection(("127.0.0.1", port), timeout=20)
    half = socket.create_connection(("127.0.0.1", port), timeout=20)
    half.sendall(HEAD + BODY[:-1])
    httpx.get(f"http://127.0.0.1:{port}/healthz")  # all of that has arrived
    process.send_signal(signal.SIGTERM)
    assert idle.recv(10) == b"", "idle connections are closed"
    half.sendall(BODY[-1:])
    assert half.recv(1000).startswith(b"HTTP/1.1 201 ")
    assert process.wait(30) == 0
    idle.close()
    half.close()


def test_sigterm_is_told_before_connections_are_refused(start_process: Start, up: Any, port: int) -> None:
    process = start_process(GATEWAY_UNREADY_S="1.5")
    up()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client() as kept:
        assert "connection" not in kept.get(f"{url}/healthz").headers
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503, 10, "it says that it leaves")
        answer = httpx.post(f"{url}/orders", json={"customer_name": "Daníel", "product_ids": [2]})
        assert answer.status_code == 201, "it takes new connections all the same"
        wait_until(lambda: kept.get(f"{url}/healthz").headers.get("connection") == "close", 10, "kept ones end")
    assert process.wait(30) == 0


def test_half_sent_request_does_not_hold_up_the_end_for_ever(start_process: Start, up: Any, port: int) -> None:
    process = start_process(MESSAGE_TIMEOUT_S="1")
    up()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
        half.sendall(HEAD + BODY[:-1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_sigterm_ends_the_wait_for_another_process_that_migrates(
    start_process: Start, postgresql: str, port: int
) -> None:
    with psycopg.connect(postgresql, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(2821)")
        process = start_process(DATABASE_URL=postgresql)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orders migration'"
        wait_until(lambda: other.execute(waiting).fetchone() == (1,), 30, "the gateway waits for its turn")
        wait_until(lambda: listens(port), 30, "the gateway listens")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_requests_are_logged_only_when_info_is(start_process: Start, up: Any, log: Path) -> None:
    process = start_process(LOG_LEVEL="warning")
    up()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert log.read_text() == ""


def test_log_has_a_line_a_request_and_no_name(start_process: Start, up: Any, port: int, log: Path) -> None:
    process = start_process()
    up()
    url = f"http://127.0.0.1:{port}"
    placed = httpx.post(f"{url}/orders", content=BODY, headers={"Content-Type": "application/json"}).json()
    httpx.post(f"{url}/orders", json={"customer_name": "Daníel"})
    httpx.get(f"{url}/orders/{placed['order_number']}")
    httpx.get(f"{url}/Daníel?name=Daníel")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    text = log.read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    requests = [entry for entry in entries if entry["event"] == "request" and entry["route"] != "/readyz"]
    assert [(entry["method"], entry["route"], entry["status"]) for entry in requests] == [
        ("POST", "/orders", 201),
        ("POST", "/orders", 422),
        ("GET", "/orders/{order_number}", 200),
        ("GET", "other", 404),
    ]
    assert requests[0]["order"] == placed["order_number"]
    assert "Dan" not in text
    assert all(entry["level"] == "info" for entry in entries)


def test_wrong_setting_ends_the_process_with_one_line_and_78(start_process: Start, log: Path) -> None:
    assert start_process(GATEWAY_PORT="80000").wait(30) == 78
    [line] = log.read_text().splitlines()
    assert line.endswith("config.yaml: port: expected less than or equal to 65535, got: '80000'")


def test_migrate_upgrades_and_ends(start_process: Start, tmp_path: Path) -> None:
    assert start_process("migrate").wait(30) == 0
    assert (tmp_path / "orders.db").exists()


def test_unknown_command_says_how_it_is_used(start_process: Start, log: Path) -> None:
    assert start_process("nonsense").wait(30) == 2
    assert log.read_text().startswith("usage: python -m orders gateway")


def test_gateway_imports_neither_eventlet_nor_nameko() -> None:
    program = (
        "import sys, orders.gateway.main\n"
        "print([name for name in ('eventlet', 'nameko', 'kombu', 'pika') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
