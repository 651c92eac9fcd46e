"""Ledger and SAP compared, as an operator types it: `bus-sap reconcile`."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from eventbus.contract import Event
from eventbus.department.ledger import Key, Ledger
from eventbus.testing import an_event, an_order
from sap_bridge import cli, sap_orders, schema
from sap_bridge.booking import SENDING
from sap_sandbox.testing import RunningSandbox

BERLIN = ZoneInfo("Europe/Berlin")
LOG_LINE = re.compile(r"\[(info|warning) +\] ")
"""Of the sandbox and the client, which a command of its own process sends elsewhere."""
Reconcile = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def reconcile(
    sandbox: RunningSandbox, transactions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Reconcile:
    """Runs `bus-sap reconcile` for today on sandbox and ledger: exit code, lines, errors."""
    monkeypatch.setenv("SAP_URL", sandbox.url)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setattr(sap_orders, "PAGE_ROWS", 7)
    monkeypatch.setattr("sap_bridge.sap_orders.time.sleep", lambda _seconds: None)

    def reconcile(*options: str, **environ: str) -> tuple[int, list[str], str]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        today = f"{datetime.now(BERLIN):%Y-%m-%d}"
        capsys.readouterr()
        try:
            code = cli.run(["reconcile", *(options or ("--from", today, "--to", today))])
        except SystemExit as ended:
            code = int(str(ended.code))
        told = capsys.readouterr()
        return code, [line for line in told.out.splitlines() if not LOG_LINE.search(line)], told.err

    return reconcile


@pytest.fixture
def book(sandbox: RunningSandbox, make_booking: Any) -> Callable[..., list[tuple[str, str]]]:
    """Books so many orders of today; order number and SAP's, of each."""

    def book(count: int, **order: Any) -> list[tuple[str, str]]:
        booking = make_booking(sandbox.url, **order.pop("settings", {}))
        events = [an_event(**{"created_at": datetime.now(UTC)} | order) for _ in range(count)]
        return [(event.subject, booking.book(event).reference) for event in events]

    return book


def days(moment: datetime) -> tuple[str, str, str, str]:
    day = f"{moment:%Y-%m-%d}"
    return "--from", day, "--to", day


def summary(orders: int, sales_orders: int, told: str) -> str:
    today = f"{datetime.now(BERLIN):%Y-%m-%d}"
    return f"Orders of {today} to {today} (Europe/Berlin): {orders}, sales orders in SAP: {sales_orders}; {told}"


def test_nothing_is_wrong_one_line_and_0(reconcile: Reconcile, book: Any) -> None:
    book(20)
    book(1, product_ids=(7, 7, 7))

    assert reconcile() == (0, [summary(21, 21, "nothing to tell")], "")


def test_removed_doubled_and_changed_by_hand_exactly_three_lines(
    reconcile: Reconcile, sandbox: RunningSandbox, book: Any
) -> None:
    booked = book(30, product_ids=(2, 4))
    (removed, number), (doubled, second), (changed, third) = booked[3], booked[11], booked[29]
    sandbox.remove(number)
    copy = sandbox.double(second)
    sandbox.change(third, quantity="3")

    code, lines, error = reconcile()

    assert (code, error) == (1, "")
    assert lines == [
        f"missing    {removed}  -       booked as {number}, not in SAP",
        f"doubled    {doubled}  {second}, {copy}  the ledger has {second}",
        f"different  {changed}  {third}      2: 1 sent, 3 in SAP",
        summary(30, 30, "1 missing, 1 doubled, 1 different"),
    ]
    document = json.loads("\n".join(reconcile(*days(datetime.now(BERLIN)), "--json")[1]))
    assert [finding["kind"] for finding in document["findings"]] == ["missing", "doubled", "different"]
    assert document["findings"][1]["sales_orders"] == [second, copy]
    assert document["wrong"] is True


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"quantity": "12.5"}, "2: 1 sent, 12.5 in SAP"),
        ({"material": "tg99"}, "2: 1 sent, none in SAP; TG99: none sent, 1 in SAP"),
        ({"reference": "by hand"}, "reference: {order} sent, by hand in SAP"),
    ],
    ids=["quantity", "material", "reference"],
)
def test_change_by_hand_is_told_as_sent_and_as_in_sap(
    reconcile: Reconcile, sandbox: RunningSandbox, book: Any, change: dict[str, str], detail: str
) -> None:
    ((order, number),) = book(1, product_ids=(2,))
    sandbox.change(number, **change)

    code, lines, _ = reconcile()

    assert code == 1
    assert lines[:-1] == [f"different  {order}  {number}  {detail.format(order=order)}"]


def test_booked_for_another_customer_than_the_ledger_says_is_told(
    reconcile: Reconcile, book: Any, transactions: Any
) -> None:
    ((order, number),) = book(1)
    ledger, key = Ledger(schema.ledger), Key(order, "order.created")
    entry = transactions.run(lambda connection: ledger.get(connection, key))
    sent = dict(entry.extra) | {"sold_to": "0017100002", "day": "2026-01-02"}
    transactions.run(lambda connection: ledger.advance(connection, entry, "booked", extra=sent))

    code, lines, _ = reconcile("--from", "2026-01-02", "--to", "2026-01-02")

    today = entry.extra["day"]
    assert code == 1
    assert lines[0] == (
        f"different  {order}  {number}  day: 2026-01-02 sent, {today} in SAP; sold_to: 17100002 sent, 17100001 in SAP"
    )


@pytest.mark.parametrize(("prefix", "told"), [("", ["0000-0000-0001"]), ("WEB-", ["by hand"])])
def test_sales_order_of_ours_that_the_ledger_does_not_know_is_told(
    reconcile: Reconcile, sandbox: RunningSandbox, book: Any, prefix: str, told: list[str]
) -> None:
    book(3, settings={"reference_prefix": prefix})
    (_, first), (_, second) = book(2, settings={"reference_prefix": prefix})
    for number, reference in ((first, "0000-0000-0001"), (second, "WEB-by hand")):
        sandbox.change(sandbox.double(number), reference=reference)

    code, lines, _ = reconcile(SAP_REFERENCE_PREFIX=prefix)

    assert code == 1
    assert [line.split("  ")[1] for line in lines[:-1]] == told
    assert lines[0].startswith("unknown  ")


@pytest.mark.parametrize(
    ("age_s", "in_sap", "expected"),
    [
        (1, False, (0, "under way  {order}  -  sent at ")),
        (1, True, (0, "under way  {order}  1  sent at ")),
        (1000, False, (1, "missing  {order}  -  sent at ")),
        (1000, True, (1, "different  {order}  1  in SAP, but of unknown outcome in the ledger")),
    ],
)
def test_order_being_sent_is_no_fault_until_the_settle_time_is_over(
    reconcile: Reconcile,
    make_booking: Any,
    sandbox: RunningSandbox,
    transactions: Any,
    age_s: float,
    in_sap: bool,
    expected: tuple[int, str],
) -> None:
    event = an_event(created_at=datetime.now(UTC))
    ledger = Ledger(schema.ledger)
    sandbox.fault("commit-then-drop" if in_sap else "drop-before-commit")
    with pytest.raises(Exception, match="no answer"):
        make_booking(sandbox.url).book(event)
    sent_at = datetime.now(UTC) - timedelta(seconds=age_s)
    entry = transactions.run(lambda connection: ledger.get(connection, Key(event.subject, event.type)))
    transactions.run(lambda connection: ledger.advance(connection, entry, SENDING, last_sent_at=sent_at))

    code, lines, _ = reconcile()

    assert (code, len(lines)) == (expected[0], 2)
    assert lines[0].startswith(expected[1].format(order=event.subject))


def test_waiting_and_refused_orders_are_not_expected_in_sap(
    reconcile: Reconcile, make_booking: Any, sandbox: RunningSandbox
) -> None:
    booking = make_booking(sandbox.url)
    for fault in ("lock", "403", "status"):
        event = an_event(created_at=datetime.now(UTC))
        sandbox.fault(fault, reference=event.subject, **({"status": 413} if fault == "status" else {}))
        with pytest.raises(Exception, match="SAP answered"):
            booking.book(event)

    assert reconcile()[:2] == (0, [summary(3, 0, "nothing to tell")])


def test_days_are_the_business_days(reconcile: Reconcile, book: Any) -> None:
    late = datetime(2026, 1, 14, 23, 30, tzinfo=UTC)  # the 15th in Berlin
    book(1, created_at=late)

    line = "Orders of 2026-01-14 to 2026-01-14 (Europe/Berlin): 0, sales orders in SAP: 0; nothing to tell"
    assert reconcile(*days(late))[1] == [line]
    assert reconcile(*days(late + timedelta(days=1)))[1][-1].startswith(
        "Orders of 2026-01-15 to 2026-01-15 (Europe/Berlin): 1, "
    )


def test_sap_asks_to_wait_and_it_waits(reconcile: Reconcile, sandbox: RunningSandbox, book: Any) -> None:
    book(3)
    sandbox.fault("429", call="look-up", retry_after=1, count=1)
    sandbox.fault("drop-before-commit", call="look-up", count=2)

    assert reconcile()[0] == 0


@pytest.mark.parametrize(
    ("environ", "fault", "told"),
    [
        ({}, {"fault": "401", "call": "login"}, "could not compare: login: SAP answered 401"),
        ({}, {"fault": "500-before-commit", "call": "look-up"}, "could not compare: SAP answered 500"),
        ({"SAP_URL": "http://127.0.0.1:9/sap"}, None, "could not compare: login: no answer: ConnectionError"),
        ({"DATABASE_URL": "sqlite:////nonexistent/ledger.db"}, None, "could not compare: the ledger cannot be read"),
    ],
    ids=["login", "SAP fails", "SAP away", "no ledger"],
)
def test_what_cannot_be_compared_is_2(
    reconcile: Reconcile, sandbox: RunningSandbox, environ: dict[str, str], fault: Any, told: str
) -> None:
    if fault:
        sandbox.fault(**fault)

    code, lines, error = reconcile(**environ)

    assert (code, lines) == (2, [])
    assert error.startswith(f"bus-sap: {told}")
    assert error.count("\n") == 1


def test_first_day_after_the_last_is_2_and_wrong_configuration_78(reconcile: Reconcile) -> None:
    assert reconcile("--from", "2026-11-02", "--to", "2026-11-01")[0] == 2
    code, _, error = reconcile("--from", "01.11.2026", "--to", "2026-11-01")
    assert (code, error.splitlines()[-1][-53:]) == (2, "--from: expected a day as YYYY-MM-DD, got '01.11.2026'"[-53:])
    assert reconcile("--from", "0001-01-01", "--to", "2026-11-01")[0] == 2
    assert reconcile(DATABASE_URL="mysql://user:secret@127.0.0.1/ledger")[::2] == (
        78,
        "configuration: DATABASE_URL: expected sqlite:///file or postgresql://…, got: mysql\n",
    )
    assert reconcile(SAP_MAPPING_FILE="/nonexistent.yaml")[0] == 78


def test_order_booked_while_sap_is_read_is_no_finding(
    reconcile: Reconcile, sandbox: RunningSandbox, book: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger is read before SAP: what is booked in between must not look like a stranger."""
    read = sap_orders.SapOrders.between
    during: list[Any] = []

    def between(*args: Any) -> Any:
        during.extend(book(2))
        return read(*args)

    monkeypatch.setattr(sap_orders.SapOrders, "between", between)

    assert reconcile()[0] == 0
    assert len(during) == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"CustomerPurchaseOrderDate": "/Date(253402300800000)/"},
        {"CustomerPurchaseOrderDate": 5},
        {"PurchaseOrderByCustomer": 5},
        {"SoldToParty": None},
        {"to_Item": {"__deferred": {}}},
        {"to_Item": {"results": [{"Material": "TG11", "RequestedQuantity": "two"}]}},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_rows_that_are_no_sales_orders_are_2(reconcile: Reconcile, sap: Any, odd: dict[str, Any]) -> None:
    row = {
        "SalesOrder": "1",
        "PurchaseOrderByCustomer": None,  # as a proxy may make of SAP's ""
        "CustomerPurchaseOrderDate": "/Date(1764201600000)/",
        "SalesOrganization": "1710",
        "DistributionChannel": "10",
        "OrganizationDivision": "00",
        "SoldToParty": "17100001",
        "to_Item": {"results": [{"Material": "TG11", "RequestedQuantity": "2"}]},
    }
    empty = type(sap.logins[0])(200, {}, '{"d":{"results":[]}}')
    sap.look_ups = [type(sap.logins[0])(200, {}, json.dumps({"d": {"results": [row]}})), empty]
    assert reconcile(SAP_URL=sap.url)[0] == 0

    sap.look_ups = [type(sap.logins[0])(200, {}, json.dumps({"d": {"results": [row | odd]}})), empty]
    code, lines, error = reconcile(SAP_URL=sap.url)

    assert (code, lines) == (2, [])
    assert error.startswith("bus-sap: could not compare: SAP answered with rows that are no sales orders")


def test_row_of_an_older_version_is_compared_as_far_as_it_tells(
    reconcile: Reconcile, book: Any, transactions: Any
) -> None:
    (order, number), (other, _) = book(2)
    ledger = Ledger(schema.ledger)
    for booked, organization in ((order, "1720"), (other, "1710")):
        entry = transactions.run(lambda connection, n=booked: ledger.get(connection, Key(n, "order.created")))
        known = {"reference": booked, "sold_to": "17100001", "organization": organization}
        transactions.run(lambda connection, e=entry, k=known: ledger.advance(connection, e, "booked", extra=k))

    code, lines, _ = reconcile()

    assert code == 1
    assert lines[:-1] == [f"different  {order}  {number}  organization: 1720 sent, 1710 in SAP"]


def test_ledger_in_either_database_is_read(
    reconcile: Reconcile, sandbox: RunningSandbox, make_booking: Any, open_ledger: Any, database_url: str
) -> None:
    with open_ledger(database_url) as transactions:
        booking = make_booking(sandbox.url, over=transactions)
        events = [an_event(created_at=datetime.now(UTC)) for _ in range(3)]
        numbers = [booking.book(event).reference for event in events]
        sandbox.remove(numbers[1])

        code, lines, _ = reconcile(DATABASE_URL=database_url)

    assert code == 1
    assert lines[0] == f"missing  {events[1].subject}  -  booked as {numbers[1]}, not in SAP"
    assert lines[1].endswith("1 missing")


def test_facts_in_the_ledger_hold_no_name(make_booking: Any, sandbox: RunningSandbox, transactions: Any) -> None:
    event: Event[Any] = an_event(an_order(customer_name="Zoë Unstored"))
    make_booking(sandbox.url).book(event)
    ledger = Ledger(schema.ledger)

    entry = transactions.run(lambda connection: ledger.get(connection, Key(event.subject, event.type)))

    assert "Zoë" not in json.dumps(dict(entry.extra), ensure_ascii=False)
