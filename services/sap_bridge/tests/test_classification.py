"""Every row of the table of answers, played by a real HTTP server: what it means, and what the handler then says."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eventbus.department import Blocked, Done, Permanent, Transient
from eventbus.testing import an_event, an_order
from sap_bridge.client import Answer, SapClient
from sap_bridge.errors import Verdict
from sap_bridge.mapping import Mapping

CREATED = '{"d":{"SalesOrder":"4711"}}'
LOGON_PAGE = "<html>Logon</html>"
BUSINESS = "/IWBEP/CM_MGW_RT/022"


def refusal(text: str, code: str = BUSINESS) -> str:
    return json.dumps({"error": {"code": code, "message": {"lang": "en", "value": text}}})


def reply(status: int = 200, body: str = "", act: str = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"status": status, "body": body, "act": act, "headers": named}


@pytest.fixture
def scripted(sap: Any) -> Callable[..., Any]:
    """The scripted SAP with these answers to POSTs, logins, look-ups."""

    def answers(posts: Any = (), logins: Any = (), look_ups: Any = ()) -> Any:
        kind = type(sap.logins[0])
        for name, replies in (("posts", posts), ("logins", logins), ("look_ups", look_ups)):
            if replies:
                setattr(sap, name, [kind(**given) for given in replies])
        return sap

    return answers


@pytest.fixture
def client_of(settings: Callable[..., Any]) -> Iterator[Callable[..., SapClient]]:
    made: list[SapClient] = []

    def client_of(url: str, **changes: Any) -> SapClient:
        made.append(SapClient(settings(url, **{"read_timeout_s": 0.3, "look_up_timeout_s": 0.3} | changes)))
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def create(client: SapClient, settings: Callable[..., Any]) -> Answer:
    return client.create(Mapping(settings()).sales_order(an_order()), time.monotonic() + 20)


def find(client: SapClient) -> Any:
    return client.find("TEST-1", "17100001", "1710", time.monotonic() + 20)


ROWS = [
    ("created", reply(201, CREATED), Verdict.BOOKED),
    ("created, number only in Location", reply(201, "<x/>", Location="https://h/A_SalesOrder('4711')"), Verdict.BOOKED),
    ("created, no number", reply(201, "<x/>"), Verdict.UNKNOWN),
    ("created, empty number", reply(201, '{"d":{"SalesOrder":""}}'), Verdict.UNKNOWN),
    ("other success", reply(200, CREATED), Verdict.UNKNOWN),
    ("garbled success", reply(act="half an answer"), Verdict.UNKNOWN),
    ("read time-out", reply(act="silence"), Verdict.UNKNOWN),
    ("reset", reply(act="reset"), Verdict.UNKNOWN),
    ("remote disconnected", reply(act="hang up"), Verdict.UNKNOWN),
    ("redirect to a logon page", reply(302, LOGON_PAGE, Location="https://h/logon"), Verdict.AUTH),
    ("refused", reply(400, refusal("Material X is not defined")), Verdict.PERMANENT),
    ("refused by a proxy", reply(400, "<html>Bad request, locked</html>"), Verdict.PERMANENT),
    ("locked", reply(400, refusal("Sold-to 17100001 is currently being processed by X")), Verdict.RETRY),
    ("locked, short", reply(400, refusal("Customer 17100001 is locked by user MEIER")), Verdict.RETRY),
    ("locked, German", reply(400, refusal("Kunde ist durch Benutzer MEIER gesperrt")), Verdict.RETRY),
    ("blocked", reply(400, refusal("Material 42 is blocked for sales")), Verdict.PERMANENT),
    ("blocked, German", reply(400, refusal("Kunde 17100001 ist gesperrt")), Verdict.PERMANENT),
    ("locked, by code", reply(400, refusal("Try later", code="SD/ENQUEUE_FAILED")), Verdict.RETRY),
    ("unauthorized again and again", reply(401, LOGON_PAGE), Verdict.AUTH),
    ("token refused again and again", reply(403, "CSRF", x_csrf_token="Required"), Verdict.RETRY),
    ("token refused again and again, in SAP's words", reply(403, refusal("?"), x_csrf_token="Required"), Verdict.RETRY),
    ("no authorization", reply(403, LOGON_PAGE), Verdict.AUTH),
    ("no authorization, by a proxy", reply(403, '{"error":"forbidden"}'), Verdict.AUTH),
    ("no authorization for this order", reply(403, refusal("No authorization")), Verdict.PERMANENT),
    ("no such entity set", reply(404, LOGON_PAGE), Verdict.CONFIG),
    ("no such route of a proxy", reply(404, '{"error":{"message":"no route"}}'), Verdict.CONFIG),
    ("no such partner", reply(404, refusal("Partner 17100001 not found")), Verdict.PERMANENT),
    ("method not allowed", reply(405), Verdict.CONFIG),
    ("not acceptable", reply(406), Verdict.CONFIG),
    ("unsupported media type", reply(415), Verdict.CONFIG),
    ("not implemented", reply(501), Verdict.CONFIG),
    ("request time-out", reply(408), Verdict.UNKNOWN),
    ("too early", reply(425), Verdict.UNKNOWN),
    ("conflict", reply(409), Verdict.RETRY),
    ("precondition failed", reply(412), Verdict.RETRY),
    ("locked (WebDAV)", reply(423), Verdict.RETRY),
    ("precondition required", reply(428), Verdict.RETRY),
    ("too large", reply(413), Verdict.PERMANENT),
    ("unprocessable", reply(422, refusal("?")), Verdict.PERMANENT),
    ("other 4xx", reply(418), Verdict.PERMANENT),
    ("too many requests", reply(429, Retry_After="7"), Verdict.RETRY),
    ("unavailable, with a time", reply(503, Retry_After="7"), Verdict.RETRY),
    ("unavailable", reply(503), Verdict.UNKNOWN),
    ("unavailable, unreadable time", reply(503, Retry_After="soon"), Verdict.UNKNOWN),
    ("internal error", reply(500, refusal("dump")), Verdict.UNKNOWN),
    ("bad gateway", reply(502, "<html>"), Verdict.UNKNOWN),
    ("gateway time-out", reply(504), Verdict.UNKNOWN),
    ("other 5xx", reply(599), Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("answer", "verdict"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_answer_to_a_booking_has_its_verdict(
    scripted: Callable[..., Any], settings: Any, client_of: Any, answer: dict[str, Any], verdict: Verdict
) -> None:
    sap = scripted(posts=[answer])

    result = create(client_of(sap.url), settings)

    assert result.verdict is verdict
    assert result.number == ("4711" if verdict is Verdict.BOOKED else None)
    posts = 2 if answer["status"] == 401 else 3 if "x-csrf-token" in answer["headers"] else 1
    assert len(sap.received("POST")) == posts


def test_connection_refused_is_surely_not_executed(settings: Any, client_of: Any, scripted: Any) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        client = client_of(f"http://127.0.0.1:{unheard.getsockname()[1]}/sap")
        result = create(client, settings)

    assert result.verdict is Verdict.RETRY
    assert "ConnectionError" in result.reason


def test_tls_fails_is_surely_not_executed(sap: Any, settings: Any, client_of: Any) -> None:
    result = create(client_of(sap.url.replace("http:", "https:")), settings)

    assert result.verdict is Verdict.RETRY
    assert sap.requests == []


def test_connection_fails_between_login_and_booking_is_surely_not_executed(
    sap: Any, settings: Any, client_of: Any
) -> None:
    client = client_of(sap.url)
    assert find(client).numbers == ()
    sap.shutdown()
    sap.server_close()
    client.close()

    assert create(client, settings).verdict is Verdict.RETRY


def test_token_refused_once_new_login_and_booked(scripted: Any, settings: Any, client_of: Any) -> None:
    sap = scripted(posts=[reply(403, "CSRF", x_csrf_token="Required"), reply(201, CREATED)])

    assert create(client_of(sap.url), settings).verdict is Verdict.BOOKED
    assert len(sap.received("GET", "SRV/")) == 2


def test_unauthorized_once_new_login_and_booked(scripted: Any, settings: Any, client_of: Any) -> None:
    sap = scripted(posts=[reply(401), reply(201, CREATED)])

    assert create(client_of(sap.url), settings).verdict is Verdict.BOOKED


LOGIN_ROWS = [
    ("unauthorized", reply(401, LOGON_PAGE), Verdict.AUTH),
    ("forbidden", reply(403), Verdict.AUTH),
    ("redirect", reply(302, Location="/logon"), Verdict.AUTH),
    ("no token", reply(200, LOGON_PAGE), Verdict.CONFIG),
    ("no such service", reply(404), Verdict.CONFIG),
    ("too many sessions", reply(503), Verdict.RETRY),
    ("slow down", reply(429, Retry_After="7"), Verdict.RETRY),
    ("silence", reply(act="silence"), Verdict.RETRY),
    ("reset", reply(act="reset"), Verdict.RETRY),
]


@pytest.mark.parametrize(("answer", "verdict"), [row[1:] for row in LOGIN_ROWS], ids=[row[0] for row in LOGIN_ROWS])
def test_login_fails_nothing_is_posted(
    scripted: Any, settings: Any, client_of: Any, answer: dict[str, Any], verdict: Verdict
) -> None:
    sap = scripted(logins=[answer])

    assert create(client_of(sap.url), settings).verdict is verdict
    assert sap.received("POST") == []


LOOK_UP_ROWS = [
    ("unauthorized", reply(401), Verdict.AUTH),
    ("forbidden", reply(403), Verdict.AUTH),
    ("redirect", reply(302, Location="/logon"), Verdict.AUTH),
    ("not found", reply(404), Verdict.CONFIG),
    ("query refused", reply(400, refusal("Invalid filter")), Verdict.CONFIG),
    ("logon page", reply(200, LOGON_PAGE), Verdict.RETRY),
    ("no results", reply(200, '{"d":{}}'), Verdict.RETRY),
    ("strange rows", reply(200, '{"d":{"results":[1]}}'), Verdict.RETRY),
    ("slow down", reply(429), Verdict.RETRY),
    ("internal error", reply(500), Verdict.RETRY),
    ("unavailable", reply(503, Retry_After="7"), Verdict.RETRY),
    ("silence", reply(act="silence"), Verdict.RETRY),
    ("half an answer", reply(act="half an answer"), Verdict.RETRY),
]


@pytest.mark.parametrize(("answer", "verdict"), [row[1:] for row in LOOK_UP_ROWS], ids=[row[0] for row in LOOK_UP_ROWS])
def test_look_up_fails_is_never_not_found(
    scripted: Any, client_of: Any, answer: dict[str, Any], verdict: Verdict
) -> None:
    sap = scripted(look_ups=[answer])

    result = find(client_of(sap.url))

    assert isinstance(result, Answer)
    assert result.verdict is verdict


OUTCOMES = [
    ("booked", reply(201, CREATED), Done),
    ("unknown", reply(500), Transient),
    ("surely not executed", reply(423), Transient),
    ("refused", reply(400, refusal("no")), Permanent),
    ("no authorization", reply(403), Blocked),
    ("no such service", reply(404), Blocked),
    ("no authorization for this order", reply(403, refusal("No authorization")), Permanent),
    ("not found for this order", reply(404, refusal("Not found")), Permanent),
]


@pytest.mark.parametrize(("answer", "outcome"), [row[1:] for row in OUTCOMES], ids=[row[0] for row in OUTCOMES])
def test_verdict_becomes_the_handlers_outcome(
    scripted: Any, make_booking: Any, answer: dict[str, Any], outcome: type
) -> None:
    booking = make_booking(scripted(posts=[answer]).url)

    if outcome is Done:
        assert booking.book(an_event()) == Done("4711")
    else:
        with pytest.raises(outcome):
            booking.book(an_event())


@pytest.mark.parametrize(
    ("headers", "at_least", "at_most"),
    [
        ({"Retry_After": "7"}, 6, 7),
        ({"Retry_After": "Wed, 21 Oct 2999 07:28:00 GMT"}, 3590, 3600),
        ({"Retry_After": "-1"}, 0, 1),
        ({"Retry_After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, 0, 1),
        ({}, 0, 1),
    ],
)
def test_too_many_requests_delay_is_saps_or_ours_and_everybody_waits(
    scripted: Any, make_booking: Any, headers: dict[str, str], at_least: float, at_most: float
) -> None:
    sap = scripted(posts=[reply(429, **headers)])
    booking = make_booking(sap.url)

    with pytest.raises(Transient) as refused:
        booking.book(an_event())
    later = booking.book(an_event())

    assert refused.value.retry_after is not None
    assert at_least < refused.value.retry_after <= at_most + 0.001
    assert at_least - 1 < later.seconds <= at_most
    assert len(sap.received("POST")) == 1


def test_reason_has_saps_words_without_noise_and_without_the_name(
    scripted: Any, make_booking: Any, sap_error: Callable[..., str]
) -> None:
    body = sap_error(
        "SLS_LORD/009",
        "Property LongText has invalid value 'Daníel'",
        ("SLS_LORD/033", "Order cannot be saved"),
        ("/IWBEP/CX_MGW_BUSI_EXCEPTION", "Exception raised without specific error"),
    )
    booking = make_booking(scripted(posts=[reply(400, body)]).url)

    with pytest.raises(Permanent) as refused:
        booking.book(an_event(customer_name="Daníel"))

    assert refused.value.reason == (
        "SAP answered 400, SLS_LORD/009: Property LongText has invalid value '[name]';"
        " SLS_LORD/033 Order cannot be saved (transaction 1801B32D512B00C0E0066215B8D723B5)"
    )


def test_booked_with_a_warning_is_booked(scripted: Any, settings: Any, client_of: Any) -> None:
    message = {"code": "SLS_LORD/009", "message": "Document is incomplete", "severity": "warning", "details": []}
    sap = scripted(posts=[reply(201, CREATED, sap_message=json.dumps(message))])

    result = create(client_of(sap.url), settings)

    assert (result.verdict, result.number) == (Verdict.BOOKED, "4711")
    assert result.warnings == ("warning SLS_LORD/009: Document is incomplete",)
