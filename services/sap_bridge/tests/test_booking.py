"""One order, one sales order: lost replies, crashes, repeats, races, and what the ledger says meanwhile."""

import json
import threading
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from eventbus.department import Done, Later, Permanent, Transient
from eventbus.department.ledger import Entry, Key, Ledger, advisory_lock
from eventbus.testing import an_event, wait_until
from sap_bridge import schema
from sap_bridge.mapping_tables import SalesArea
from sap_sandbox.testing import RunningSandbox

CREATED = '{"d":{"SalesOrder":"4711"}}'


def entry_of(transactions: Any, event: Any) -> Entry:
    ledger = Ledger(schema.ledger)
    entry: Entry = transactions.run(lambda connection: ledger.get(connection, Key(event.subject, event.type)))
    return entry


def booked_in(sandbox: RunningSandbox) -> dict[str, int]:
    references: dict[str, int] = requests.get(sandbox.stats_url, timeout=5).json()["references"]
    return references


def results(*rows: tuple[str, str]) -> str:
    return json.dumps(
        {"d": {"results": [{"SalesOrder": number, "PurchaseOrderByCustomer": reference} for number, reference in rows]}}
    )


def test_fresh_order_is_booked_without_a_look_up(sandbox: RunningSandbox, make_booking: Any, transactions: Any) -> None:
    event = an_event(product_ids=(2, 4, 42, 2), customer_name="Жанна 张伟 O'Neill")

    outcome = make_booking(sandbox.url).book(event)

    entry = entry_of(transactions, event)
    assert outcome == Done(entry.reference)
    assert (entry.state, entry.attempt, entry.owner, entry.cause_id) == ("booked", 1, None, event.id)
    assert booked_in(sandbox) == {event.subject: 1}
    stats = requests.get(sandbox.stats_url, timeout=5).json()
    assert stats["token_fetches"] == 1


def test_redelivery_says_the_same_again_and_books_nothing(sandbox: RunningSandbox, make_booking: Any) -> None:
    event = an_event()
    booking = make_booking(sandbox.url)

    outcomes = {booking.book(event) for _ in range(5)} | {make_booking(sandbox.url).book(event)}

    assert len(outcomes) == 1
    assert booked_in(sandbox) == {event.subject: 1}


def test_reply_lost_after_booking_the_next_attempt_finds_it(
    sandbox: RunningSandbox, make_booking: Any, transactions: Any
) -> None:
    event = an_event()
    booking = make_booking(sandbox.url, read_timeout_s=0.001)
    with pytest.raises(Transient, match="ReadTimeout"):
        booking.book(event)
    assert entry_of(transactions, event).state == "sending"
    wait_until(lambda: booked_in(sandbox) == {event.subject: 1}, what="SAP books though nobody waits")

    outcome = make_booking(sandbox.url).book(event)

    assert isinstance(outcome, Done)
    assert outcome.reference == entry_of(transactions, event).reference
    assert booked_in(sandbox) == {event.subject: 1}


def test_commit_later_than_the_time_out_is_waited_for(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()
    sap.posts = [type(sap.logins[0])(act="hang up"), type(sap.logins[0])(201, {}, CREATED)]
    booking = make_booking(sap.url, ledger)
    with pytest.raises(Transient):
        booking.book(event)

    early = booking.book(event)
    assert isinstance(early, Later)
    assert 8 < early.seconds <= 10
    sap.look_ups[0].body = results(("4711", event.subject))

    assert booking.book(event) == Done("4711")
    assert len(sap.received("POST")) == 1


def test_nothing_found_after_the_settle_time_is_booked_again(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()
    sap.posts = [type(sap.logins[0])(500), type(sap.logins[0])(201, {}, CREATED)]
    booking = make_booking(sap.url, ledger)
    with pytest.raises(Transient):
        booking.book(event)
    clock.pass_s(10)

    assert booking.book(event) == Done("4711")
    assert entry_of(transactions, event).attempt == 2


@pytest.mark.parametrize(("status", "headers"), [(423, {}), (409, {}), (503, {"Retry-After": "1"})])
def test_surely_not_executed_looks_up_but_does_not_wait(
    sap: Any, make_booking: Any, ledger: Ledger, status: int, headers: dict[str, str]
) -> None:
    sap.posts = [type(sap.logins[0])(status, headers), type(sap.logins[0])(201, {}, CREATED)]
    event = an_event()
    with pytest.raises(Transient):
        make_booking(sap.url, ledger).book(event)

    assert make_booking(sap.url, ledger).book(event) == Done("4711")
    steps = ["look-up" if "filter" in request.path else request.method for request in sap.requests if _counts(request)]
    assert steps == ["POST", "look-up", "POST", "look-up"]


def _counts(request: Any) -> bool:
    return not request.path.endswith("/")  # a login


def test_slow_login_and_slow_call_the_settle_time_counts_from_their_end(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()
    sent_ago: list[float] = []

    def book_slowly() -> None:
        sent = entry_of(transactions, event)
        assert sent.state == "sending"
        assert sent.last_sent_at is not None
        sent_ago.append((clock() - sent.last_sent_at).total_seconds())
        clock.pass_s(30)

    sap.logins[0].meanwhile = lambda: clock.pass_s(40)
    sap.posts = [type(sap.logins[0])(act="hang up", meanwhile=book_slowly)]
    booking = make_booking(sap.url, ledger, settle_s=20)
    with pytest.raises(Transient):
        booking.book(event)

    early = booking.book(event)
    assert isinstance(early, Later)
    assert 15 < early.seconds <= 20
    assert sent_ago[0] < 5
    assert len(sap.received("POST")) == 1


def test_order_taken_over_during_a_slow_login_is_not_sent_by_the_first(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()

    def take_over() -> None:
        clock.pass_s(100)
        key = Key(event.subject, event.type)
        transactions.run(
            lambda connection: ledger.claim(connection, key, event.id, "another", 90, final_states=("booked",))
        )

    sap.logins[0].meanwhile = take_over
    sap.posts = [type(sap.logins[0])(201, {}, CREATED)]

    outcome = make_booking(sap.url, ledger).book(event)

    assert outcome == Later(1.0, "another worker has taken over")
    assert sap.received("POST") == []
    assert entry_of(transactions, event).owner == "another"


@pytest.mark.parametrize("earlier", ["999", "10000"])
def test_earlier_call_commits_after_the_settle_time_the_duplicate_is_told(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any, earlier: str
) -> None:
    event = an_event()
    sap.posts = [type(sap.logins[0])(500), type(sap.logins[0])(201, {}, CREATED)]
    sap.look_ups = [
        type(sap.logins[0])(200, {}, results()),
        type(sap.logins[0])(200, {}, results((earlier, event.subject), ("4711", event.subject))),
    ]
    booking = make_booking(sap.url, ledger)
    with pytest.raises(Transient):
        booking.book(event)
    clock.pass_s(10)

    first, second = sorted((earlier, "4711"), key=int)
    expected = Done(first, f"possible duplicate: SAP also has {second}")
    assert booking.book(event) == expected
    assert booking.book(event) == expected
    assert len(sap.received("POST")) == 2


def test_look_up_after_booking_again_fails_the_order_is_booked(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()
    sap.posts = [type(sap.logins[0])(500), type(sap.logins[0])(201, {}, CREATED)]
    sap.look_ups = [type(sap.logins[0])(200, {}, results()), type(sap.logins[0])(500)]
    booking = make_booking(sap.url, ledger)
    with pytest.raises(Transient):
        booking.book(event)
    clock.pass_s(10)

    assert booking.book(event) == Done("4711")
    assert entry_of(transactions, event).state == "booked"


def test_process_dies_between_booking_and_commit_the_next_one_finds_it(
    sandbox: RunningSandbox, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()
    transactions.before_commit_of["booked"] = SystemExit()
    with pytest.raises(SystemExit):
        make_booking(sandbox.url, ledger).book(event)
    assert entry_of(transactions, event).state == "sending"

    held = make_booking(sandbox.url, ledger).book(event)
    assert held == Later(5.0, "another worker is booking this order")
    clock.pass_s(91)  # the lease's end

    outcome = make_booking(sandbox.url, ledger).book(event)
    assert isinstance(outcome, Done)
    assert booked_in(sandbox) == {event.subject: 1}


@pytest.mark.parametrize("moment", ["before_commit_of", "after_commit_of"])
def test_process_dies_before_the_call_the_next_one_books(
    sandbox: RunningSandbox, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any, moment: str
) -> None:
    event = an_event()
    getattr(transactions, moment)["sending"] = SystemExit()
    with pytest.raises(SystemExit):
        make_booking(sandbox.url, ledger).book(event)
    clock.pass_s(100)

    assert isinstance(make_booking(sandbox.url, ledger).book(event), Done)
    assert booked_in(sandbox) == {event.subject: 1}


def test_two_bridges_and_eight_copies_race_one_order_in_sap(
    sandbox: RunningSandbox, make_booking: Any, open_ledger: Any, database_url: str
) -> None:
    events = [an_event() for _ in range(5)]
    with open_ledger(database_url) as shared:
        bridges = [make_booking(sandbox.url, over=shared) for _ in range(2)]
        outcomes: list[Any] = []

        def work(index: int) -> None:
            for event in events if index % 2 else reversed(events):
                outcomes.append((event.subject, bridges[index % 2].book(event)))

        threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert booked_in(sandbox) == {event.subject: 1 for event in events}
    assert len(outcomes) == 40
    assert {type(outcome) for _, outcome in outcomes} <= {Done, Later}
    numbers = {(subject, outcome.reference) for subject, outcome in outcomes if isinstance(outcome, Done)}
    assert len(numbers) == 5


def test_call_of_a_stalled_owner_has_not_ended_nothing_is_posted(
    sap: Any, make_booking: Any, open_ledger: Any, postgresql: str
) -> None:
    event = an_event()
    with open_ledger(postgresql) as shared:
        booking = make_booking(sap.url, over=shared)
        with advisory_lock(shared.engine, Key(event.subject, event.type)):
            assert isinstance(booking.book(event), Later)
        assert sap.requests == []
        sap.posts = [type(sap.logins[0])(201, {}, CREATED)]
        assert booking.book(event) == Done("4711")


def test_more_than_one_hit_lowest_number_and_a_word_of_it(
    sap: Any, make_booking: Any, ledger: Ledger, clock: Any
) -> None:
    event = an_event()
    sap.posts = [type(sap.logins[0])(500)]
    booking = make_booking(sap.url, ledger)
    with pytest.raises(Transient):
        booking.book(event)
    sap.look_ups[0].body = results(("10000", event.subject), ("999", event.subject), ("7", "another"))

    expected = Done("999", "possible duplicate: SAP also has 10000")
    assert booking.book(event) == expected
    assert booking.book(event) == expected
    assert len(sap.received("POST")) == 1


def test_refused_order_is_tried_again_when_redriven(sap: Any, make_booking: Any, transactions: Any) -> None:
    event = an_event()
    refusal = json.dumps({"error": {"code": "X/1", "message": {"value": "Material 2 is not defined"}}})
    sap.posts = [type(sap.logins[0])(400, {}, refusal), type(sap.logins[0])(201, {}, CREATED)]
    booking = make_booking(sap.url)
    with pytest.raises(Permanent):
        booking.book(event)
    rejected = entry_of(transactions, event)
    assert (rejected.state, rejected.detail) == ("rejected", "SAP answered 400, X/1: Material 2 is not defined")

    assert booking.book(event) == Done("4711")


def test_unmapped_region_is_permanent_and_nothing_is_sent(sap: Any, make_booking: Any, transactions: Any) -> None:
    area = SalesArea(organization="1710", channel="10", division="00", sold_to="17100001")
    event = an_event(region="south")

    with pytest.raises(Permanent, match="unmapped_region"):
        make_booking(sap.url, sales_areas={"north": area}).book(event)

    assert sap.requests == []
    assert entry_of(transactions, event).state == "rejected"


def test_row_of_the_mapping_removed_while_the_outcome_is_unknown_it_stays_unknown(
    sap: Any, make_booking: Any, ledger: Ledger
) -> None:
    event = an_event(region="south")
    sap.posts = [type(sap.logins[0])(500)]
    booking = make_booking(sap.url, ledger)
    with pytest.raises(Transient):
        booking.book(event)
    area = SalesArea(organization="1710", channel="10", division="00", sold_to="17100001")
    with pytest.raises(Permanent, match="unmapped_region"):
        make_booking(sap.url, ledger, sales_areas={"north": area}).book(event)

    assert isinstance(booking.book(event), Later), "SAP may still be booking it"
    assert len(sap.received("POST")) == 1


def test_mapping_changed_since_the_look_up_asks_where_it_was_sent(
    sap: Any, make_booking: Any, transactions: Any
) -> None:
    area = SalesArea(organization="1720", channel="20", division="00", sold_to="17200009")
    event = an_event()
    sap.posts = [type(sap.logins[0])(500)]
    with pytest.raises(Transient):
        make_booking(sap.url).book(event)

    make_booking(sap.url, sales_areas={"*": area}, reference_prefix="WEB-").book(event)

    query = sap.received("GET", "filter")[0].path
    assert f"%27{event.subject}%27" in query
    assert "%2717100001%27" in query
    assert "%271710%27" in query


def test_look_up_always_finds_what_a_lost_ledger_forgot(
    sandbox: RunningSandbox, make_booking: Any, open_ledger: Any, transactions: Any, tmp_path: Any
) -> None:
    event = an_event()
    before = make_booking(sandbox.url).book(event)

    with open_ledger(f"sqlite:///{tmp_path}/empty.db") as empty:
        after = make_booking(sandbox.url, over=empty, look_up_always=True).book(event)
        assert entry_of(empty, event).extra == entry_of(transactions, event).extra

    assert after == before
    assert booked_in(sandbox) == {event.subject: 1}


def test_ledger_database_away_is_transient_and_nothing_is_sent(sap: Any, make_booking: Any, transactions: Any) -> None:
    schema.metadata.drop_all(transactions.engine)

    with pytest.raises(Transient, match="database"):
        make_booking(sap.url).book(an_event())

    assert sap.requests == []


def test_database_fails_after_booking_the_next_attempt_finds_it(
    sandbox: RunningSandbox, make_booking: Any, ledger: Ledger, clock: Any, transactions: Any
) -> None:
    event = an_event()
    transactions.before_commit_of["booked"] = sa.exc.OperationalError("UPDATE", {}, Exception("gone"))
    with pytest.raises(Transient, match="OperationalError"):
        make_booking(sandbox.url, ledger).book(event)
    clock.pass_s(100)

    assert isinstance(make_booking(sandbox.url, ledger).book(event), Done)
    assert booked_in(sandbox) == {event.subject: 1}
