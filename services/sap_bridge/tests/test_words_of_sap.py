"""What SAP says and does not say: its silence, and the customer's name in its words."""

import json
import re
from typing import Any

import pytest
from eventbus.department import Permanent, Transient
from eventbus.department.ledger import Entry, Key, Ledger
from eventbus.testing import an_event
from sap_bridge import schema
from sap_bridge.redaction import redacted

LONG = "Maximiliane Bartholomea von und zu Hohenschwangau-Wittelsbach"
CREATED = '{"d":{"SalesOrder":"4711"}}'


def entry_of(transactions: Any, event: Any) -> Entry:
    ledger = Ledger(schema.ledger)
    entry: Entry = transactions.run(lambda connection: ledger.get(connection, Key(event.subject, event.type)))
    return entry


@pytest.mark.parametrize(
    ("name", "told", "expected"),
    [
        ("Daníel", "value 'DANÍEL' of Daníels", "value '[name]' of Daníels"),
        ("张伟", "客户张伟的订单", "客户[name]的订单"),
        ("(Jo)", "for x(Jo)y", "for x[name]y"),
        (LONG, f"{LONG[:50]} is too long", "[name] is too long"),
        (LONG, f"'{LONG.upper()}' is too long", "'[name]' is too long"),
        ("🎉" * 30, f"{'🎉' * 25} is too long", "[name] is too long"),
        ("Jane  Doe", "customer jane doe is blocked", "customer [name] is blocked"),
        ("Jane Doe", "JANE DOE: JANE\nDOE", "[name]: [name]"),
        ("e", "the e is here", "the [name] is here"),
        ("J.P.", "for J.P. only", "for [name] only"),
    ],
)
def test_customers_name_is_left_out_however_sap_spells_it(name: str, told: str, expected: str) -> None:
    assert redacted(told, name) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_warning_in_any_encoding_is_logged_without_the_name(
    sap: Any, make_booking: Any, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    message = json.dumps({"code": "X/1", "severity": "warning", "message": "Kunde Zoë"}, ensure_ascii=False)
    as_http_reads_it = message.encode(encoding).decode("latin-1")
    sap.posts = [type(sap.logins[0])(201, {"sap-message": as_http_reads_it}, '{"d":{"SalesOrder":"1"}}')]

    make_booking(sap.url).book(an_event(customer_name="Zoë"))

    logged = capsys.readouterr().out
    assert "warning X/1: Kunde [name]" in logged
    assert "Zo" not in logged


def test_sap_silent_the_call_ends_before_the_handlers_limit(sap: Any, make_booking: Any, transactions: Any) -> None:
    sap.posts = [type(sap.logins[0])(act="silence")]
    event = an_event()

    with pytest.raises(Transient, match="ReadTimeout"):
        make_booking(sap.url, handler_s=6.2).book(event)

    assert entry_of(transactions, event).state == "sending"


def test_name_reaches_sap_as_it_is(sap: Any, make_booking: Any) -> None:
    sap.posts = [type(sap.logins[0])(201, {}, CREATED)]
    name = 'Ångström "张伟" \u202eO\'Neill 🎉'

    make_booking(sap.url).book(an_event(customer_name=name))

    assert json.loads(sap.received("POST")[0].body)["to_Text"][0]["LongText"] == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("e", "the one e here " * 200),
        ("Jane  van\u3000Dijk", "refused: JANE VAN\n DIJK"),
        (LONG, f"{LONG[:50]} is too long"),
    ],
    ids=["one letter, long text", "spelled in another way", "cut off"],
)
def test_refused_with_the_customers_name_is_rejected_once_and_without_it(
    sap: Any, make_booking: Any, transactions: Any, name: str, told: str
) -> None:
    event = an_event(customer_name=name)
    refusal = json.dumps({"error": {"code": "X/1", "message": {"value": told}}})
    sap.posts = [type(sap.logins[0])(400, {}, refusal)]

    with pytest.raises(Permanent) as refused:
        make_booking(sap.url).book(event)

    rejected = entry_of(transactions, event)
    assert (rejected.state, rejected.detail) == ("rejected", refused.value.reason)
    assert "[name]" in refused.value.reason
    assert len(refused.value.reason) <= 500
    assert not re.search(r"\be\b|jane|dijk|barthol", refused.value.reason, re.IGNORECASE)


def test_refusal_in_words_that_no_database_keeps_is_rejected_like_any_other(
    sap: Any, make_booking: Any, transactions: Any
) -> None:
    event = an_event()
    sap.posts = [
        type(sap.logins[0])(400, {}, r'{"error": {"code": "X/1", "message": {"value": "a\ud800b\u0000c\u001bd"}}}')
    ]

    with pytest.raises(Permanent, match="X/1: a�b�c�d"):
        make_booking(sap.url).book(event)

    assert entry_of(transactions, event).state == "rejected"
