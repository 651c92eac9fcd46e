"""Every answer of SAP in a bridge's life: what the bridge says, what its ledger holds, and that in the end there is one
sales order, or none of a refused order. Played by the sandbox's fault plan.

What the sandbox cannot play is in test_classification.py: a connection that fails before anything is sent, TLS, a
proxy's JSON, statuses in SAP's own words, unreadable Retry-After.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from eventbus.department import Blocked, Done, Later, Permanent, Transient
from eventbus.department.ledger import Key, Ledger
from eventbus.testing import an_event, wait_until
from sap_sandbox.testing import RunningSandbox, running_sandbox

READ_TIMEOUT_S = 0.4


@dataclass(frozen=True)
class Row:
    """A fault, what the handler says to it, and what the ledger holds then: `sending` if SAP may have booked."""

    name: str
    fault: str
    outcome: type
    state: str
    rule: dict[str, Any] = field(default_factory=dict)


def statuses(outcome: type, state: str, *codes: int, **rule: Any) -> list[Row]:
    return [
        Row(f"{code} {rule}" if rule else str(code), "status", outcome, state, {"status": code} | rule)
        for code in codes
    ]


ROWS = [
    Row("created", "", Done, "booked"),
    Row("created, number in Location only", "commit-then-bare", Done, "booked"),
    Row("created, garbled", "commit-then-garbled", Transient, "sending"),
    Row("created, half an answer", "commit-then-cut", Transient, "sending"),
    Row("read time-out, booked before", "commit-then-delay", Transient, "sending", {"seconds": 2 * READ_TIMEOUT_S}),
    Row("read time-out, booked after", "delay-before-commit", Transient, "sending", {"seconds": 2 * READ_TIMEOUT_S}),
    Row("disconnected, booked", "commit-then-drop", Transient, "sending"),
    Row("disconnected, not booked", "drop-before-commit", Transient, "sending"),
    Row("reset, booked", "commit-then-reset", Transient, "sending"),
    Row("reset, not booked", "reset-before-commit", Transient, "sending"),
    Row("locked, in SAP's words", "lock", Transient, "new"),
    Row("401 once", "401", Done, "booked", {"count": 1}),
    Row("401 always", "401", Blocked, "new"),
    Row("token refused twice", "csrf-required", Done, "booked", {"count": 2}),
    Row("token refused always", "csrf-required", Transient, "new"),
    Row("session gone", "expire-sessions", Done, "booked", {"count": 1}),
    Row("403", "403", Blocked, "new"),
    Row("redirect to a logon page", "redirect", Blocked, "new"),
    *statuses(Blocked, "new", 404, 405, 406, 415, 501),
    *statuses(Transient, "sending", 408, 425),
    *statuses(Transient, "sending", 408, after_commit=True),
    *statuses(Transient, "new", 409, 412, 423, 428),
    *statuses(Permanent, "rejected", 413, 422, 418),
    Row("429, with a time", "429", Transient, "new", {"retry_after": 30}),
    Row("429, with a date", "429", Transient, "new", {"retry_after": 30, "retry_after_as": "date"}),
    Row("429, without", "429", Transient, "new"),
    Row("503, with a time", "503", Transient, "new", {"retry_after": 30}),
    *statuses(Transient, "new", 503, retry_after=30, after_commit=True),
    *statuses(Transient, "sending", 500, 502, 503, 504, 599),
    *statuses(Transient, "sending", 500, 502, 503, 504, after_commit=True),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sap")) as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    yield shared_sandbox
    shared_sandbox.clear_faults()


Attempt = Callable[[Any], Any]


@pytest.fixture
def attempt(sandbox: RunningSandbox, make_booking: Any, ledger: Ledger) -> Attempt:
    """Handles the event in a process of its own to SAP and ledger: what it returned or raised."""

    def attempt(event: Any) -> Any:
        try:
            return make_booking(sandbox.url, ledger, read_timeout_s=READ_TIMEOUT_S).book(event)
        except (Blocked, Permanent, Transient) as verdict:
            return verdict

    return attempt


def booked(sandbox: RunningSandbox, event: Any) -> int:
    return int(sandbox.stats()["references"].get(event.subject, 0))


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_answer_to_a_booking_and_one_sales_order_in_the_end(
    sandbox: RunningSandbox, attempt: Attempt, ledger: Ledger, clock: Any, transactions: Any, row: Row
) -> None:
    event = an_event()
    if row.fault:
        sandbox.fault(row.fault, reference=event.subject, **row.rule)

    outcome = attempt(event)

    assert isinstance(outcome, row.outcome)
    entry = transactions.run(lambda connection: ledger.get(connection, Key(event.subject, event.type)))
    assert (entry.state, entry.owner) == (row.state, None)
    if asked := row.rule.get("retry_after"):
        assert isinstance(outcome, Transient)
        assert outcome.retry_after is not None
        assert asked - 2 < outcome.retry_after <= asked + 1
    sandbox.clear_faults()
    if row.outcome is Permanent:
        assert booked(sandbox, event) == 0
        return
    if row.fault == "delay-before-commit":  # SAP still works on it: nothing is sent again before the settle time
        assert isinstance(attempt(event), Later | Done)
        wait_until(lambda: booked(sandbox, event) == 1, what="SAP has booked late")
    clock.pass_s(11)
    assert isinstance(attempt(event), Done)
    assert booked(sandbox, event) == 1


LOOK_UP_ROWS = [
    ("500-before-commit", Transient, {}),
    ("html-502", Transient, {}),
    ("503", Transient, {}),
    ("503", Transient, {"retry_after": 30}),
    ("429", Transient, {"retry_after": 30}),
    ("drop-before-commit", Transient, {}),
    ("reset-before-commit", Transient, {}),
    ("status", Transient, {"status": 423}),
    ("status", Transient, {"status": 200}),
    ("401", Done, {"count": 1}),
    ("401", Blocked, {}),
    ("403", Blocked, {}),
    ("redirect", Blocked, {}),
    ("status", Blocked, {"status": 404}),
    ("status", Blocked, {"status": 400}),
]


@pytest.mark.parametrize(
    ("fault", "expected", "rule"), LOOK_UP_ROWS, ids=[f"{row[0]} {row[2]}" for row in LOOK_UP_ROWS]
)
def test_answer_to_a_look_up_is_never_not_found(
    sandbox: RunningSandbox, attempt: Attempt, clock: Any, fault: str, expected: type, rule: dict[str, Any]
) -> None:
    event = an_event()
    sandbox.fault("commit-then-drop", count=1, reference=event.subject)
    assert isinstance(attempt(event), Transient)
    sandbox.fault(fault, call="look-up", reference=event.subject, **rule)
    clock.pass_s(11)

    assert type(attempt(event)) is expected

    sandbox.clear_faults()
    assert isinstance(attempt(event), Done)
    assert booked(sandbox, event) == 1


LOGIN_ROWS = [
    ("401", Blocked, {}),
    ("403", Blocked, {}),
    ("redirect", Blocked, {}),
    ("status", Blocked, {"status": 404}),
    ("status", Blocked, {"status": 200}),
    ("503", Transient, {}),
    ("429", Transient, {"retry_after": 30}),
    ("500-before-commit", Transient, {}),
    ("drop-before-commit", Transient, {}),
]


@pytest.mark.parametrize(("fault", "expected", "rule"), LOGIN_ROWS, ids=[f"{row[0]} {row[2]}" for row in LOGIN_ROWS])
def test_answer_to_a_login_and_nothing_is_posted(
    sandbox: RunningSandbox, attempt: Attempt, fault: str, expected: type, rule: dict[str, Any]
) -> None:
    event = an_event()
    posts = sandbox.stats()["posts"]
    sandbox.fault(fault, call="login", **rule)

    assert type(attempt(event)) is expected

    assert sandbox.stats()["posts"] == posts
    sandbox.clear_faults()
    assert isinstance(attempt(event), Done)
    assert booked(sandbox, event) == 1
