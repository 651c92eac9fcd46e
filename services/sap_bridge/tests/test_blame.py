"""Whose fault a refusal is: one order's, which is parked, or everybody's, for which the bridge pauses."""

import json
from typing import Any

import pytest
from eventbus.department import Blocked, Done, Permanent, Transient
from eventbus.department.ledger import Key, Ledger
from eventbus.testing import an_event
from sap_bridge.blame import ALONE_FOR
from sap_sandbox.testing import RunningSandbox

CREATED = '{"d":{"SalesOrder":"4711"}}'
IN_SAPS_WORDS = json.dumps({"error": {"code": "/IWFND/MED/170", "message": {"value": "No service found"}}})


def outcome_of(booking: Any, event: Any) -> Any:
    try:
        return type(booking.book(event))
    except (Blocked, Permanent, Transient) as verdict:
        return type(verdict)


def test_order_that_alone_is_refused_is_parked_while_others_are_booked(
    sandbox: RunningSandbox, make_booking: Any, transactions: Any, ledger: Ledger, clock: Any
) -> None:
    refused = an_event()
    sandbox.fault("403", reference=refused.subject)
    booking = make_booking(sandbox.url, ledger)

    outcomes = []
    for _ in range(4):
        outcomes += [outcome_of(booking, refused), outcome_of(booking, an_event())]
        clock.pass_s(ALONE_FOR.total_seconds() / 3)

    assert outcomes == [Blocked, Done, Transient, Done, Transient, Done, Permanent, Done]
    entry = transactions.run(lambda connection: ledger.get(connection, Key(refused.subject, refused.type)))
    assert (entry.state, entry.detail) == ("rejected", "SAP answered 403; 3 times while other orders were booked")

    sandbox.clear_faults()  # a person has mended it, and redrives
    assert outcome_of(booking, refused) is Done


def test_one_of_saps_servers_refuses_and_another_books_no_order_is_parked_in_minutes(
    sandbox: RunningSandbox, make_booking: Any, ledger: Ledger, clock: Any
) -> None:
    unlucky = an_event()
    sandbox.fault("403", reference=unlucky.subject)
    booking = make_booking(sandbox.url, ledger)

    outcomes = []
    for _ in range(8):
        outcomes += [outcome_of(booking, unlucky), outcome_of(booking, an_event())]
        clock.pass_s(ALONE_FOR.total_seconds() / 9)

    assert outcomes == [Blocked, Done, *(Transient, Done) * 7]
    sandbox.clear_faults()
    assert outcome_of(booking, unlucky) is Done


def test_order_that_is_refused_while_nothing_is_booked_is_never_parked(
    sandbox: RunningSandbox, make_booking: Any
) -> None:
    booking = make_booking(sandbox.url)
    assert outcome_of(booking, an_event()) is Done
    sandbox.fault("403")
    first, second = an_event(), an_event()

    assert {outcome_of(booking, event) for _ in range(5) for event in (first, second)} == {Blocked}

    sandbox.clear_faults()
    assert [outcome_of(booking, event) for event in (first, second)] == [Done, Done]


def test_what_was_booked_before_an_outage_says_nothing_of_it(
    sandbox: RunningSandbox, make_booking: Any, ledger: Ledger, clock: Any
) -> None:
    refused, outage = an_event(), an_event()
    sandbox.fault("403", reference=refused.subject)
    booking = make_booking(sandbox.url, ledger)
    assert [outcome_of(booking, event) for event in (refused, an_event(), refused)] == [Blocked, Done, Transient]
    sandbox.fault("403")

    outcomes = []
    for _ in range(4):
        clock.pass_s(ALONE_FOR.total_seconds())
        outcomes += [outcome_of(booking, event) for event in (refused, outage)]

    assert set(outcomes) == {Blocked}


def test_booking_of_before_the_outage_that_a_look_up_finds_says_nothing_of_it(
    sandbox: RunningSandbox, make_booking: Any, ledger: Ledger, clock: Any
) -> None:
    lost, refused = an_event(), an_event()
    sandbox.fault("commit-then-drop", count=1)
    booking = make_booking(sandbox.url, ledger)
    assert outcome_of(booking, lost) is Transient
    clock.pass_s(20)
    sandbox.fault("403")

    assert [outcome_of(booking, event) for event in (refused, lost, refused)] == [Blocked, Done, Blocked]


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    ("look_up", "expected"),
    [
        ((200, '{"d":{"results":[]}}'), Permanent),
        ((403, IN_SAPS_WORDS), Blocked),
        ((404, IN_SAPS_WORDS), Blocked),
        ((503, ""), Transient),
    ],
    ids=["works", "is refused", "is not found", "fails"],
)
def test_refused_in_saps_words_and_a_look_up(
    sap: Any, make_booking: Any, transactions: Any, status: int, look_up: tuple[int, str], expected: type
) -> None:
    """A service that was shut refuses each order in SAP's own words: none may be parked for it."""
    reply = type(sap.logins[0])
    sap.posts = [reply(status, {}, IN_SAPS_WORDS), reply(201, {}, CREATED)]
    sap.look_ups = [reply(look_up[0], {}, look_up[1])]
    booking, event = make_booking(sap.url), an_event()

    assert outcome_of(booking, event) is expected

    sap.look_ups[0].status, sap.look_ups[0].body = 200, '{"d":{"results":[]}}'
    assert outcome_of(booking, event) is Done


def test_refused_in_saps_words_but_an_earlier_call_has_booked_it_is_booked(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any
) -> None:
    reply, event = type(sap.logins[0]), an_event()
    found = {"d": {"results": [{"SalesOrder": "4711", "PurchaseOrderByCustomer": event.subject}]}}
    sap.posts = [reply(500), reply(403, {}, IN_SAPS_WORDS)]
    sap.look_ups = [reply(200, {}, '{"d":{"results":[]}}'), reply(200, {}, json.dumps(found))]
    booking = make_booking(sap.url, ledger)
    assert outcome_of(booking, event) is Transient
    clock.pass_s(11)

    assert booking.book(event) == Done("4711")
