"""SAP answers wrongly, late or not at all, amid load and under two bridges: one sales order each."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from eventbus.testing.waiting import wait_until
from sap_sandbox.faults.kinds import EXPIRE_SESSIONS, KINDS, Call, Kind

from .conftest import Run
from .operator_tools import Operator, numbers
from .parts import Parts

SCENARIO = 7
READ_TIMEOUT_S, SETTLE_S = 1.0, 3
PARTS = Parts(
    gateways=1,
    departments=("sap_bridge",),
    workers={"sap_bridge": 2},
    settings={
        "sap": {"read_timeout_s": READ_TIMEOUT_S, "look_up_timeout_s": READ_TIMEOUT_S, "settle_s": SETTLE_S},
        # room for the slow ones: what waits for a work process is booked later than the settle time allows
        "sandbox": {"latency_median_ms": 10, "latency_sigma": 0.5, "read_latency_median_ms": 1, "work_processes": 32},
    },
)
RATE = 20.0
FIRED_WITHIN_S = 60.0
TOO_LATE_S = (READ_TIMEOUT_S + 0.8, READ_TIMEOUT_S + 1.6)
"""Longer than the bridge waits, and booked long before the settle time has passed."""
NEVER_S = 600.0

STATUSES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "surely not booked": tuple({"status": status} for status in (409, 412, 423, 428)),
    "perhaps booked, and is not": tuple(
        {"status": status} for status in (200, 202, 204, 408, 425, 500, 502, 503, 504, 599)
    ),
    "perhaps booked, and is": tuple(
        {"status": status, "after_commit": True} for status in (200, 202, 204, 408, 425, 500, 502, 503, 504, 599)
    ),
    "everybody is refused": tuple({"status": status} for status in (307, 404, 405, 406, 415, 501)),
}
"""What the fault `status` may be: each answer by what it tells of the order."""
REFUSALS: tuple[Mapping[str, Any], ...] = (
    *({"status": status} for status in (413, 418, 422)),
    *({"status": status, "body_as": "sap"} for status in (400, 403, 404, 409 + 1)),
)
FAULTS = (*(name for name in KINDS if name != "status"), *(f"status: {group}" for group in STATUSES))
"""All that the sandbox knows: a new one there is played here at once."""
AT_ONCE = 3
SHARES = tuple(FAULTS[first :: -(-len(FAULTS) // AT_ONCE)] for first in range(-(-len(FAULTS) // AT_ONCE)))


@contextmanager
def faults_cleared(run: Run) -> Iterator[None]:
    """At the end no call fails any more, whatever happens."""
    try:
        yield
    finally:
        run.shop.sap.clear_faults()


def rules_of(fault: str, rng: random.Random) -> list[dict[str, Any]]:
    """One rule for each call that the fault can hit, its figures by chance."""
    name, _, group = fault.partition(": ")
    kind = KINDS[name]
    rules = []
    for call in kind.calls:
        given = dict(rng.choice(STATUSES[group])) if group else own_fields(kind, rng)
        if call is Call.CREATE or not given.get("after_commit"):
            rules.append({"fault": name, "call": str(call)} | given)
    if name == EXPIRE_SESSIONS:
        rules.append({"fault": name, "every_s": round(rng.uniform(0.2, 0.6), 2)})
    return rules


def own_fields(kind: Kind, rng: random.Random) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "seconds" in kind.needs:
        fields["seconds"] = rng.uniform(*TOO_LATE_S)
    if "retry_after" in kind.takes and rng.random() < 0.8:
        fields |= {"retry_after": 1, "retry_after_as": rng.choice(["seconds", "date"])}
    return fields


def have_fired(run: Run) -> bool:
    """Whether each rule struck. A login is made only when there is none."""
    left = [rule for rule in run.shop.sap.faults() if not rule["fired"]]
    if any(rule.get("call") == Call.LOGIN for rule in left):
        run.shop.sap.expire_sessions()
    return not left


@pytest.mark.runs_shared_by(len(SHARES))
@pytest.mark.parametrize("faults", SHARES, ids=" + ".join)
def test_sap_fails_under_load(run: Run, faults: tuple[str, ...]) -> None:
    """Each fault of SAP, some at a time, at bookings, look-ups and logins, under two bridges"""
    rules, before = [rule for fault in faults for rule in rules_of(fault, run.rng)], run.rng.randint(3, 15)
    run.rng.shuffle(rules)
    with faults_cleared(run), run.customers.placing(RATE):
        wait_until(lambda: len(run.customers.accepted) > before, 60, "orders under way")
        for rule in rules:
            count = {} if "every_s" in rule else {"count": run.rng.randint(1, 3)}
            run.shop.sap.add_fault(rule | count)
        if any(rule.get("call") == Call.LOOK_UP for rule in rules):  # made only where a booking is in doubt
            run.shop.sap.add_fault({"fault": "commit-then-drop", "probability": 0.3})
        wait_until(lambda: have_fired(run), FIRED_WITHIN_S, f"{faults} struck each kind of call")
    run.assert_kept()


def test_every_fault_at_once(run: Run) -> None:
    """All faults of SAP mixed, sessions expire, a bridge is killed"""
    mixture = [rule for fault in FAULTS for rule in rules_of(fault, run.rng)]
    run.rng.shuffle(mixture)
    before = run.rng.randint(5, 25)
    with faults_cleared(run), run.customers.placing(RATE):
        for rule in mixture:
            run.shop.sap.add_fault(rule | ({} if "every_s" in rule else {"probability": 0.03}))
        wait_until(lambda: fired(run) > before, FIRED_WITHIN_S, "faults strike")
        run.rng.choice(run.shop.all("sap_bridge")).kill()
        wait_until(lambda: fired(run) > 40, FIRED_WITHIN_S, "faults strike")
    run.assert_kept()


def fired(run: Run) -> int:
    return sum(int(rule["fired"]) for rule in run.shop.sap.faults() if "every_s" not in rule)


def test_refused_orders_wait_for_a_person(run: Run) -> None:
    """SAP refuses some orders: `attention`; redriven, they are booked once"""
    refusal, count = dict(run.rng.choice(REFUSALS)), run.rng.randint(3, 9)
    with faults_cleared(run):
        rule = run.shop.sap.add_fault({"fault": "status", "count": count, "probability": 0.4} | refusal)
        with run.customers.placing(RATE):
            wait_until(lambda: not run.shop.sap.faults()[0]["left"], FIRED_WITHIN_S, f"{rule} struck so often")
    refused = run.count()
    assert len(refused.attention) == count
    assert not refused.lost
    redriven = numbers(Operator(run.shop).run("dead", "redrive", "sap_bridge"))
    assert sorted(redriven) == sorted(line.partition(":")[0] for line in refused.attention)
    run.assert_kept()


def test_sap_commits_later_than_the_settle_time(run: Run) -> None:
    """SAP books later than the settle time, on purpose"""
    count = run.rng.randint(2, 6)
    run.customers.place(run.rng.randint(3, 10))
    wait_until(lambda: set(run.customers.numbers) <= set(run.shop.sap.stats()["references"]), 60, "all are booked")
    with faults_cleared(run):
        run.shop.sap.add_fault({"fault": "delay-before-commit", "seconds": NEVER_S, "count": count})
        late = {run.customers.place_one() for _ in range(count)}
        wait_until(lambda: fired(run) == count, FIRED_WITHIN_S, "SAP takes them and does not answer")
        # sent again after the settle time: booked, and the answer is lost, so the bridge looks once more
        run.shop.sap.add_fault({"fault": "commit-then-drop", "count": count})
        wait_until(lambda: fired(run) == 2 * count, FIRED_WITHIN_S, "they are sent again")
        run.shop.one("sandbox").restart().wait_ready()  # books what it had taken before it ends
    run.customers.place(5)
    found = run.assert_kept(shows=True)
    assert {line.partition(":")[0] for line in found.possible_duplicates} == late
    assert not found.attention
