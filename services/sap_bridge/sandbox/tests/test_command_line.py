"""`sap-sandbox`: what its commands print, and their exit codes."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from sap_sandbox.command_line import main
from sap_sandbox.faults.kinds import KINDS
from sap_sandbox.testing import RunningSandbox


@pytest.fixture
def running(start_sandbox: Any, log_on: Callable[..., Any], an_order: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A sandbox of the test's own, with two sales orders of WEB-1; the commands talk to it."""
    sandbox = start_sandbox()
    caller = log_on(sandbox)
    for quantity in ("2", "3"):
        caller.create(an_order("WEB-1", to_Item=[{"Material": "TG11", "RequestedQuantity": quantity}]))
    monkeypatch.setenv("SAP_SANDBOX_URL", sandbox.origin)
    return sandbox


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    def run(*arguments: str, code: int = 0) -> list[str]:
        """The lines that the command prints: on standard output, or on standard error where it fails."""
        try:
            main(arguments)
            ended = 0
        except SystemExit as exit_:
            ended = int(exit_.code or 0)
        printed = capsys.readouterr()
        assert ended == code, printed.err
        return (printed.err if code else printed.out).splitlines()

    return run


def cells(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_rules_are_added_shown_and_cleared(running: RunningSandbox, run: Any) -> None:
    assert run("faults", "show") == ["no rules: no call fails"]
    assert run("faults", "add", "commit-then-drop", "--count", "1", "--reference", "WEB-*") == [
        "rule 1: commit-then-drop on create, reference WEB-*, count 1"
    ]
    run("faults", "add", "503", "--call", "look-up", "--probability", "0.1", "--retry-after", "2")
    run("faults", "add", "status", "--status", "408", "--after-commit", "--retry-after-as", "date")
    run("faults", "add", "expire-sessions", "--every-s", "600")
    run("faults", "add", "delay-before-commit", "--seconds", "5")
    assert [cells(line) for line in run("faults", "show")] == [
        ["id", "fault", "call", "rule", "fired", "left"],
        ["1", "commit-then-drop", "create", "reference WEB-*, count 1", "0", "1"],
        ["2", "503", "look-up", "probability 0.1, retry_after 2", "0", "no end"],
        ["3", "status", "create", "status 408, after_commit True, retry_after_as date", "0", "no end"],
        ["4", "expire-sessions", "-", "every_s 600.0", "0", "no end"],
        ["5", "delay-before-commit", "create", "seconds 5.0", "0", "no end"],
    ]
    assert run("faults", "clear", "4", "5") == ["2 rules removed"]
    assert run("faults", "clear") == ["3 rules removed"]
    assert run("faults", "clear") == ["no rules: nothing to do"]


def test_every_fault_is_listed(run: Any) -> None:
    assert [cells(line)[0] for line in run("faults", "kinds")] == ["fault", *KINDS]


def test_orders_are_shown_removed_doubled_and_changed(running: RunningSandbox, run: Any) -> None:
    assert [cells(line)[:5] for line in run("orders", "--reference", "WEB-*")] == [
        ["number", "reference", "customer", "items", "net"],
        ["1", "WEB-1", "17100001", "2 x TG11", "35.10 USD"],
        ["2", "WEB-1", "17100001", "3 x TG11", "52.65 USD"],
    ]
    assert run("orders", "--limit", "1")[-1] == "the newest 1 of 2; --limit shows more"
    assert run("orders", "double", "1") == ["sales order 1 copied: 3"]
    assert run("orders", "change", "3", "--quantity", "7", "--reference", "WEB-7") == [
        "sales order 3: quantity is 7, reference is WEB-7"
    ]
    assert run("orders", "remove", "2") == ["sales order 2 removed"]
    assert [cells(line)[:4] for line in run("orders")[1:]] == [
        ["1", "WEB-1", "17100001", "2 x TG11"],
        ["3", "WEB-7", "17100001", "7 x TG11"],
    ]
    assert run("orders", "--reference", "WEB-2") == ["no sales orders"]


def test_stats_name_the_duplicates(running: RunningSandbox, run: Any) -> None:
    lines = [cells(line) for line in run("stats")]
    assert ["orders", "2"] in lines
    assert ["201", "2"] in lines
    assert ["WEB-1", "2"] in lines
    assert lines[-1] == ["1 reference, 1 duplicate"]


def test_sessions_end_now_or_by_the_clock(running: RunningSandbox, run: Any) -> None:
    assert run("expire-sessions") == ["1 session ended"]
    assert run("expire-sessions", "--every", "60") == ["rule 1: all sessions end every 60 s"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("faults", "add", "explode"), "expected one of delay-before-commit"),
        (("faults", "add", "lock", "--seconds", "5"), "seconds: lock has no such field"),
        (("faults", "clear", "9"), "there is no rule 9"),
        (("orders", "remove", "9"), "there is no sales order 9"),
        (("orders", "change", "1"), "nothing to change"),
        (("orders", "change", "1", "--quantity", "0"), "quantity: "),
        (("orders", "--limit", "0"), "limit: "),
        (("expire-sessions", "--every", "0"), "every_s: "),
    ],
)
def test_refusal_is_one_line_and_exit_code_1(running: RunningSandbox, run: Any, arguments: Any, line: str) -> None:
    (printed,) = run(*arguments, code=1)
    assert printed.startswith("sap-sandbox: ")
    assert line in printed


def test_url_may_stand_before_or_behind_the_verb(running: RunningSandbox, run: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("SAP_SANDBOX_URL", "http://127.0.0.1:1")
    run("orders", "--url", running.origin, "double", "1")
    run("orders", "double", "1", "--url", running.origin)
    assert len(running.orders()) == 4


@pytest.mark.parametrize("arguments", [("stats",), ("orders",), ("orders", "remove", "1"), ("faults", "show")])
def test_nobody_there_is_one_line_and_exit_code_69(run: Any, monkeypatch: pytest.MonkeyPatch, arguments: Any) -> None:
    monkeypatch.setenv("SAP_SANDBOX_URL", "http://127.0.0.1:1")
    (line,) = run(*arguments, code=69)
    assert line.startswith("sap-sandbox: no SAP sandbox answers at http://127.0.0.1:1/_sim/")


def test_somebody_else_there_is_one_line_and_exit_code_69(running: RunningSandbox, run: Any) -> None:
    (line,) = run("stats", "--url", f"{running.origin}/healthz", code=69)
    assert "is no SAP sandbox" in line


@pytest.mark.parametrize(("status", "body"), [(200, b"{}"), (404, b'{"detail": "Not Found"}'), (200, b"<html>")])
@pytest.mark.parametrize("arguments", [("stats",), ("orders",), ("faults", "show"), ("faults", "clear")])
def test_another_server_that_speaks_json_is_no_sandbox(
    run: Any, monkeypatch: pytest.MonkeyPatch, arguments: Any, status: int, body: bytes
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: Any) -> None:
            """Keep the tests' output quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        monkeypatch.setenv("SAP_SANDBOX_URL", f"http://127.0.0.1:{other.server_port}")
        (line,) = run(*arguments, code=69)
        thread.join()
    assert f"is no SAP sandbox: it answered {status} " in line


@pytest.mark.parametrize("arguments", [("wipe",), ("faults",), ("orders", "remove"), ("faults", "add")])
def test_wrong_usage_is_exit_code_2(run: Any, arguments: Any) -> None:
    run(*arguments, code=2)


def test_module_is_the_command(running: RunningSandbox) -> None:
    command = [sys.executable, "-m", "sap_sandbox", "stats", "--url", running.origin]
    assert "1 duplicate" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
