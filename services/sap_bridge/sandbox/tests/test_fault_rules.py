"""The fault plan's rules: which calls they hit, how often, and which rules are refused."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from sap_sandbox.faults.identify import Identified
from sap_sandbox.faults.kinds import KINDS, Call
from sap_sandbox.faults.plan import FaultPlan
from sap_sandbox.faults.rule import RuleError, read
from sap_sandbox.testing import RunningSandbox

LOOK_UP = "PurchaseOrderByCustomer eq '{}'"


def test_sessions_end_by_the_clock() -> None:
    now, ended = [0.0], list[float]()
    plan = FaultPlan(lambda: ended.append(now[0]), lambda: now[0])
    entry = plan.add(read({"fault": "expire-sessions", "every_s": 0.6, "count": 2}))
    for now[0] in (0.5, 0.6, 1.1, 2.5, 3.0, 9.0):
        plan.keep_time()
    assert ended == [0.6, 2.5]
    assert (entry.fired, entry.left) == (2, 0)


def test_failed_look_up_is_about_the_references_of_its_filter(
    faulty: RunningSandbox, caller: Any, an_order: Any
) -> None:
    caller.create(an_order("SOUGHT-1"))
    faulty.fault("503", call="look-up", reference="SOUGHT-*")
    assert caller.get("/A_SalesOrder", filter=LOOK_UP.format("SOUGHT-1")).status_code == 503
    either = f"{LOOK_UP.format('OTHER')} or {LOOK_UP.format('SOUGHT-2')}"
    assert caller.get("/A_SalesOrder", filter=either).status_code == 503
    assert caller.get("/A_SalesOrder", filter=LOOK_UP.format("OTHER")).status_code == 200
    assert caller.get("/A_SalesOrder").status_code == 200
    assert caller.create(an_order("SOUGHT-1")).status_code == 201


@pytest.mark.parametrize(
    ("pattern", "reference", "hit"),
    [
        ("WEB-1", "WEB-1", True),
        ("WEB-1", "WEB-10", False),
        ("WEB-1", "web-1", False),
        ("WEB-*", "WEB-", True),
        ("*-1*", "WEB-12", True),
        ("WEB.1", "WEB-1", False),
        ("WEB-[1]", "WEB-1", False),
    ],
)
def test_rule_with_a_reference_hits_that_order_only(pattern: str, reference: str, hit: bool) -> None:
    assert read({"fault": "lock", "reference": pattern}).fits(Identified(Call.CREATE, lambda: [reference])) is hit


def test_first_rule_that_fits_strikes_and_is_used_up(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    faulty.fault("lock", count=2, reference="USED-*")
    faulty.fault("html-502", count=1)
    statuses = [caller.create(an_order(ref)).status_code for ref in ("USED-1", "OTHER", "USED-2", "USED-3")]
    assert statuses == [400, 502, 400, 201]
    assert [(rule["fault"], rule["fired"], rule["left"]) for rule in faulty.faults()] == [
        ("lock", 2, 0),
        ("html-502", 1, 0),
    ]


def test_rule_without_count_strikes_until_it_is_removed(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    rule_id = faulty.fault("html-502")
    assert [caller.create(an_order()).status_code for _ in range(3)] == [502] * 3
    assert faulty.faults()[0]["left"] is None
    faulty.admin.remove_fault(rule_id)
    assert caller.create(an_order()).status_code == 201


def test_rule_with_a_probability_strikes_some_calls() -> None:
    plan = FaultPlan(lambda: None)
    plan.add(read({"fault": "lock", "probability": 0.1}))
    struck = sum(plan.strike(Identified(Call.CREATE)) is not None for _ in range(10_000))
    assert 800 < struck < 1200


def test_create_that_sap_refuses_uses_up_no_rule(faulty: RunningSandbox, caller: Any, an_order: Any) -> None:
    rule_id = faulty.fault("commit-then-drop", count=1)
    assert caller.create(an_order(SalesOrderType="ZZ")).status_code == 400
    assert caller.create(an_order(), {"X-CSRF-Token": "invented"}).status_code == 403
    assert faulty.fired(rule_id) == 0


def test_counters_know_answers_that_never_came(start_sandbox: Any, log_on: Callable[..., Any], an_order: Any) -> None:
    sandbox = start_sandbox()
    caller = log_on(sandbox)
    sandbox.fault("commit-then-drop", count=1)
    with pytest.raises(requests.ConnectionError):
        caller.create(an_order())
    caller.create(an_order())
    caller.references()
    stats = sandbox.stats()
    assert (stats["posts"], stats["answers"], stats["look_ups"]) == (2, {"201": 1, "none": 1}, 1)


@pytest.mark.parametrize(
    ("document", "field", "named"),
    [
        ([], "", "one JSON object"),
        ({}, "fault", "commit-then-drop"),
        ({"fault": "comit-then-drop"}, "fault", "commit-then-drop"),
        ({"fault": ["lock"]}, "fault", "commit-then-drop"),
        ({"fault": "lock", "colour": "red"}, "colour", "no such field; it has fault, call, reference, count"),
        ({"fault": "lock", "seconds": 5}, "seconds", "lock has no such field"),
        ({"fault": "lock", "count": 0}, "count", "greater than or equal to 1"),
        ({"fault": "lock", "count": "3"}, "count", "integer"),
        ({"fault": "lock", "probability": 1.5}, "probability", "less than or equal to 1"),
        ({"fault": "lock", "reference": ""}, "reference", "at least 1 character"),
        ({"fault": "lock", "call": "logon"}, "call", "look-up"),
        ({"fault": "lock", "call": "login"}, "call", "one of create"),
        ({"fault": "commit-then-drop", "call": "look-up"}, "call", "one of create"),
        ({"fault": "delay-before-commit"}, "seconds", "needs it"),
        ({"fault": "delay-before-commit", "seconds": 601}, "seconds", "less than or equal to 600"),
        ({"fault": "status"}, "status", "needs it"),
        ({"fault": "status", "status": 100}, "status", "greater than or equal to 200"),
        ({"fault": "status", "status": 408, "after_commit": True, "call": "login"}, "after_commit", "books nothing"),
        ({"fault": "503", "retry_after": -1}, "retry_after", "greater than or equal to 0"),
        ({"fault": "status", "status": 400, "body_as": "xml"}, "body_as", "sap"),
        ({"fault": "503", "retry_after_as": "minutes"}, "retry_after_as", "date"),
        ({"fault": "503", "call": "login", "reference": "WEB-1"}, "reference", "no order"),
        ({"fault": "expire-sessions", "every_s": 0.01}, "every_s", "greater than or equal to 0.05"),
        ({"fault": "expire-sessions", "every_s": 1, "call": "create"}, "call", "the clock decides"),
    ],
)
def test_wrong_rule_is_refused_and_the_field_named(document: Any, field: str, named: str) -> None:
    with pytest.raises(RuleError) as refused:
        read(document)
    assert refused.value.field == field
    assert named in str(refused.value)


def test_refusal_of_a_rule_is_a_problem_that_lists_the_faults(faulty: RunningSandbox) -> None:
    answer = requests.post(f"{faulty.origin}/_sim/faults", json={"fault": "explode"}, timeout=10)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == "fault"
    assert problem["faults"] == problem["choices"] == list(KINDS)
    assert requests.post(f"{faulty.origin}/_sim/faults", data="{", timeout=10).status_code == 400
    assert requests.delete(f"{faulty.origin}/_sim/faults/999", timeout=10).status_code == 404
