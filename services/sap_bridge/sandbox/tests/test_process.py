"""`python -m sap_sandbox`: what is booked outlives restarts, a stop drains, a wrong configuration is one line."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from sap_sandbox.serve import serve


def test_orders_and_numbers_outlive_a_restart_and_sessions_do_not(start_process: Any, an_order: Any) -> None:
    first = start_process()
    caller = first.caller()
    assert caller.create(an_order("WEB-1")).json()["d"]["SalesOrder"] == "1"
    assert first.end() == 0

    second = start_process()
    caller_again = second.caller()

    caller.url = caller.url.replace(first.origin, second.origin)
    assert caller.create(an_order("WEB-3")).headers["x-csrf-token"] == "Required"
    assert caller_again.references() == ["WEB-1"]
    assert caller_again.create(an_order("WEB-2")).json()["d"]["SalesOrder"] == "2"
    assert second.stats()["references"] == {"WEB-1": 1, "WEB-2": 1}


def test_stopped_sandbox_books_what_it_took(
    start_process: Any, an_order: Any, in_background: Any, wait_until: Any
) -> None:
    sandbox = start_process(SAP_SANDBOX_LATENCY_MS="800", SAP_SANDBOX_LATENCY_SIGMA="0", SAP_SANDBOX_WORK_PROCESSES="1")
    caller = sandbox.caller()
    connection = caller.begin_create(an_order("GONE"))
    wait_until(lambda: sandbox.stats()["in_hand"] == 1)
    connection.close()
    waiting = in_background(lambda: caller.create(an_order("WAITS")))
    wait_until(lambda: sandbox.stats()["in_hand"] == 2)

    assert sandbox.end() == 0
    wait_until(lambda: bool(waiting))
    assert waiting[0].status_code == 201
    again = start_process()
    again.caller()
    assert again.stats()["references"] == {"GONE": 1, "WAITS": 1}


def test_killed_sandbox_keeps_what_it_answered(start_process: Any, an_order: Any) -> None:
    sandbox = start_process(SAP_SANDBOX_LATENCY_MS="1")
    caller = sandbox.caller()
    answered = [caller.create(an_order(f"WEB-{n}")).status_code for n in range(20)]

    sandbox.end(signal.SIGKILL)

    assert set(answered) == {201}
    assert start_process().caller().references() == [f"WEB-{n}" for n in range(20)]


def test_health_answers_without_login(start_sandbox: Any) -> None:
    answer = requests.get(f"{start_sandbox().origin}/healthz", timeout=10)
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_wrong_configuration_ends_the_process_with_one_line_and_78(start_process: Any) -> None:
    sandbox = start_process(SAP_SANDBOX_PORT="http")

    assert sandbox.process.wait(30) == 78
    assert len(sandbox.output.splitlines()) == 1


Refused = Callable[[], str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Starts the sandbox in this process, which must end with 78: its one line."""

    def refused() -> str:
        monkeypatch.setattr("sap_sandbox.serve.create_server", lambda *_, **__: pytest.fail("it would run"))
        with pytest.raises(SystemExit) as ended:
            serve()
        (line,) = capsys.readouterr().err.splitlines()
        assert ended.value.code == 78
        return str(line)

    return refused


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SAP_SANDBOX_PORT": "http"}, "port"),
        ({"SAP_SANDBOX_WORK_PROCESSES": "0"}, "work_processes"),
        ({"SAP_SANDBOX_DATABASE_URL": "postgresql://127.0.0.1/x"}, "database_url"),
        ({"SAP_SANDBOX_DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL"),
        ({"SAP_CLIENT": "1"}, "client"),
        ({"CONFIG_FILE": "/nonexistent.yaml"}, "/nonexistent.yaml"),
    ],
)
def test_wrong_setting_is_named(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], named: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert named in refused()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("colour: red", "colour"),
        ("external_range: {first: 1, last: 5}", "external_range"),
        ("internal_range: {first: 9, last: 5}", "first to be at most last"),
        ("sales_areas: [1710/10]", "sales_areas"),
        ("sales_areas: [1710-10-00]", "expected YAML"),  # a date to YAML, and none of the calendar
    ],
)
def test_wrong_line_of_the_file_is_named(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, named: str
) -> None:
    key = line.partition(":")[0]
    shipped = (Path(__file__).parent.parent / "config.yaml").read_text().splitlines()
    config = tmp_path / "config.yaml"
    config.write_text("\n".join([*(kept for kept in shipped if not kept.startswith(f"{key}:")), line]))
    monkeypatch.setenv("CONFIG_FILE", str(config))

    assert named in refused()
