"""The fault plan: what each fault does to the client and to the order."""

import contextlib
import email.utils
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from sap_sandbox.faults.kinds import KINDS, Call
from sap_sandbox.testing import RunningSandbox, running_sandbox

LOOK_UP = "PurchaseOrderByCustomer eq '{}'"


def booked(sandbox: RunningSandbox, reference: str) -> int:
    return int(sandbox.stats()["references"].get(reference, 0))


@pytest.mark.parametrize(
    ("fault", "is_booked", "error"),
    [
        ("drop-before-commit", 0, "RemoteDisconnected"),
        ("commit-then-drop", 1, "RemoteDisconnected"),
        ("reset-before-commit", 0, "ConnectionReset"),
        ("commit-then-reset", 1, "ConnectionReset"),
        ("commit-then-cut", 1, "IncompleteRead"),
    ],
)
def test_broken_connection_gives_no_answer(
    faulty: RunningSandbox, caller: Any, an_order: Any, fault: str, is_booked: int, error: str
) -> None:
    faulty.fault(fault, count=1)
    with pytest.raises(requests.RequestException, match=error):
        caller.create(an_order(fault))
    assert booked(faulty, fault) == is_booked
    assert caller.create(an_order(fault)).status_code == 201


PAGE, SAP, NOTHING = "text/html; charset=utf-8", "application/json", None


@pytest.mark.parametrize(
    ("fault", "rule", "is_booked", "status", "content", "headers"),
    [
        ("commit-then-garbled", {}, 1, 201, SAP, {"location": None}),
        ("commit-then-bare", {}, 1, 201, NOTHING, {"content-length": "0"}),
        ("commit-then-504", {}, 1, 504, PAGE, {}),
        ("500-before-commit", {}, 0, 500, PAGE, {}),
        ("html-502", {}, 0, 502, PAGE, {}),
        ("429", {"retry_after": 2}, 0, 429, PAGE, {"retry-after": "2"}),
        ("429", {}, 0, 429, PAGE, {"retry-after": None}),
        ("503", {"retry_after": 0}, 0, 503, PAGE, {"retry-after": "0"}),
        ("503", {}, 0, 503, PAGE, {"retry-after": None}),
        ("lock-423", {}, 0, 423, PAGE, {}),
        ("401", {}, 0, 401, PAGE, {"set-cookie": None}),
        ("403", {}, 0, 403, PAGE, {"x-csrf-token": None}),
        ("csrf-required", {}, 0, 403, "text/plain; charset=utf-8", {"x-csrf-token": "Required"}),
        ("status", {"status": 408}, 0, 408, PAGE, {}),
        ("status", {"status": 204}, 0, 204, NOTHING, {}),
        ("status", {"status": 425, "after_commit": True}, 1, 425, PAGE, {}),
        ("status", {"status": 503, "after_commit": True, "retry_after": 1}, 1, 503, PAGE, {"retry-after": "1"}),
        ("status", {"status": 599}, 0, 599, PAGE, {}),
        ("status", {"status": 404, "body_as": "sap"}, 0, 404, SAP, {}),
        ("status", {"status": 413, "body_as": "text"}, 0, 413, "text/plain; charset=utf-8", {}),
    ],
)
def test_wrong_answer_to_a_create(
    faulty: RunningSandbox,
    caller: Any,
    an_order: Any,
    fault: str,
    rule: dict[str, Any],
    is_booked: int,
    status: int,
    content: str | None,
    headers: dict[str, str | None],
) -> None:
    before = booked(faulty, fault)
    rule_id = faulty.fault(fault, count=1, **rule)

    answer = caller.create(an_order(fault))

    assert answer.status_code == status
    assert answer.headers.get("content-type") == content
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert booked(faulty, fault) == before + is_booked
    assert faulty.fired(rule_id) == 1
    assert caller.create(an_order(fault)).status_code == 201


def test_bare_success_names_the_number_in_location_only(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("commit-then-bare", count=1)
    answer = caller.create(an_order("BARE"))
    (order,) = caller.get("/A_SalesOrder", filter=LOOK_UP.format("BARE")).json()["d"]["results"]
    assert answer.headers["location"] == f"{caller.url}/A_SalesOrder('{order['SalesOrder']}')"


def test_garbled_success_is_no_json(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("commit-then-garbled", count=1)
    with pytest.raises(requests.JSONDecodeError):
        caller.create(an_order()).json()


def test_lock_speaks_in_saps_words(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("lock", count=1)
    answer = caller.create(an_order("LOCKED"))
    assert answer.status_code == 400
    assert "currently being processed" in answer.json()["error"]["message"]["value"]
    assert answer.json()["error"]["innererror"]["errordetails"][0]["code"] == "SIM/120"
    assert booked(faulty, "LOCKED") == 0


def test_retry_after_can_be_a_date(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("503", count=1, retry_after=60, retry_after_as="date")
    asked = email.utils.parsedate_to_datetime(caller.create(an_order()).headers["retry-after"])
    assert 30 < (asked - datetime.now(UTC)).total_seconds() <= 61


def test_redirect_leads_to_a_page_that_is_no_success(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("redirect", count=1)
    answer = caller.create(an_order("REDIRECTED"))
    assert answer.status_code == 302
    page = requests.get(answer.headers["location"], timeout=10)
    assert (page.status_code, page.headers["content-type"]) == (200, PAGE)
    assert booked(faulty, "REDIRECTED") == 0


def test_late_commit_comes_after_its_client_gave_up(
    faulty: RunningSandbox, caller: Any, an_order: Any, wait_until: Any
) -> None:
    faulty.fault("delay-before-commit", count=1, seconds=1.5)
    with pytest.raises(requests.ReadTimeout):
        caller.create(an_order("LATE"), timeout=0.3)
    assert caller.references(filter=LOOK_UP.format("LATE")) == []
    wait_until(lambda: caller.references(filter=LOOK_UP.format("LATE")) == ["LATE"])


@pytest.mark.parametrize(("fault", "is_booked"), [("delay-before-commit", 0), ("commit-then-delay", 1)])
def test_delay_is_cut_short_where_the_sandbox_ends(
    tmp_path: Path,
    log_on: Callable[..., Any],
    an_order: Any,
    in_background: Any,
    wait_until: Any,
    fault: str,
    is_booked: int,
) -> None:
    with running_sandbox(tmp_path) as sandbox:
        caller = log_on(sandbox)
        rule_id = sandbox.fault(fault, count=1, seconds=600)
        answers = in_background(lambda: caller.create(an_order("DELAYED")))
        wait_until(lambda: sandbox.fired(rule_id) == 1 and booked(sandbox, "DELAYED") == is_booked)
        assert answers == []
        assert sandbox.stats()["in_hand"] == 1
    wait_until(lambda: bool(answers))
    assert answers[0].status_code == 201


def test_expired_sessions_are_answered_as_sap_does(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    sandbox = start_sandbox()
    caller, other = log_on(sandbox), log_on(sandbox)
    sandbox.fault("expire-sessions", count=1)

    refused = caller.create(an_order("EXPIRED"))

    assert (refused.status_code, refused.headers["x-csrf-token"]) == (403, "Required")
    assert refused.cookies
    assert other.create(an_order("EXPIRED")).headers["x-csrf-token"] == "Required"
    caller.log_on()
    assert caller.create(an_order("EXPIRED")).status_code == 201
    stats = sandbox.stats()
    assert (stats["posts"], stats["csrf_refusals"]) == (1, 2)


def test_look_up_goes_on_in_a_new_session_when_its_own_expires(
    faulty: RunningSandbox, caller: Any, an_order: Any
) -> None:
    caller.create(an_order("LOOKED UP"))
    faulty.fault("expire-sessions", call="look-up")
    answer = caller.get("/A_SalesOrder", filter=LOOK_UP.format("LOOKED UP"))
    assert answer.status_code == 200
    assert answer.cookies.get_dict() not in ({}, caller.cookies)


def test_client_sees_sessions_end_by_the_clock(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any, wait_until: Any
) -> None:
    sandbox = start_sandbox()
    caller = log_on(sandbox)
    sandbox.expire_sessions(every_s=0.05)
    wait_until(lambda: sandbox.faults()[0]["fired"] >= 2)
    assert caller.create(an_order()).headers["x-csrf-token"] == "Required"
    sandbox.clear_faults()
    caller.log_on()
    assert caller.create(an_order()).status_code == 201


@pytest.mark.parametrize(
    ("fault", "status"), [("html-502", 502), ("401", 401), ("429", 429), ("redirect", 302), ("403", 403)]
)
def test_failed_login_opens_no_session(start_sandbox: Any, log_on: Callable[..., Any], fault: str, status: int) -> None:
    sandbox = start_sandbox()
    sandbox.fault(fault, call="login", count=1)
    url, auth, fetch = f"{sandbox.url}/", ("WEBSHOP", "sandbox"), {"X-CSRF-Token": "Fetch"}

    answer = requests.get(url, auth=auth, headers=fetch, timeout=10, allow_redirects=False)

    assert answer.status_code == status
    assert "x-csrf-token" not in answer.headers
    assert not answer.cookies
    assert (sandbox.stats()["sessions"], sandbox.stats()["logins"]) == (0, 0)
    log_on(sandbox)


def test_what_clients_see_and_what_the_plan_counts_agree_under_load(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    sandbox = start_sandbox(work_processes=16)
    caller = log_on(sandbox)
    rules = {
        name: sandbox.fault(name, probability=0.2)
        for name in ("commit-then-drop", "commit-then-504", "drop-before-commit", "html-502")
    }

    def create(number: int) -> int:
        try:
            return int(caller.create(an_order(f"LOAD-{number}")).status_code)
        except requests.ConnectionError:
            return 0

    with ThreadPoolExecutor(16) as threads:
        seen = Counter(threads.map(create, range(200)))

    fired = {name: sandbox.fired(rule_id) for name, rule_id in rules.items()}
    assert seen[0] == fired["commit-then-drop"] + fired["drop-before-commit"] > 0
    assert (seen[504], seen[502]) == (fired["commit-then-504"], fired["html-502"])
    assert sandbox.stats()["orders"] == seen[201] + fired["commit-then-drop"] + fired["commit-then-504"]


def test_connection_that_was_dropped_disturbs_no_other(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("delay-before-commit", count=1, seconds=0.5, reference="SLOW")
    connection = caller.begin_create(an_order("SLOW"))
    faulty.fault("reset-before-commit", count=1, reference="BROKEN")
    with pytest.raises(requests.ConnectionError):
        caller.create(an_order("BROKEN"))
    assert connection.getresponse().status == 201
    connection.close()


@pytest.mark.parametrize(("fault", "call"), [(kind.name, call) for kind in KINDS.values() for call in kind.calls])
def test_every_fault_of_the_table_strikes_every_call_that_it_names(
    faulty: RunningSandbox, caller: Any, an_order: Any, fault: str, call: Call
) -> None:
    figures = {"seconds": 0.05, "status": 404}
    rule_id = faulty.fault(fault, call=str(call), count=1, **{name: figures[name] for name in KINDS[fault].needs})
    with contextlib.suppress(requests.RequestException):
        if call is Call.CREATE:
            caller.create(an_order())
        else:
            caller.get("/" if call is Call.LOGIN else "/A_SalesOrder")
    assert faulty.fired(rule_id) == 1


def test_readme_lists_every_fault() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert re.findall(r"^\| `([a-z0-9-]+)` \| (?:create|all)\b", readme, re.MULTILINE) == list(KINDS)
