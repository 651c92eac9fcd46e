"""The dialogue itself: login pair, cookies, look-up, connections, limits."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from eventbus.testing import an_order, wait_until
from sap_bridge.client import Answer, Call, Found, SapClient
from sap_bridge.errors import Verdict
from sap_bridge.login import cookie_header
from sap_bridge.mapping import Mapping
from sap_bridge.settings import SapSettings
from sap_bridge.transport import Transport
from sap_sandbox.testing import RunningSandbox

Settings = Callable[..., SapSettings]


def soon() -> float:
    return time.monotonic() + 20


@pytest.fixture
def client_of(settings: Settings) -> Iterator[Callable[..., SapClient]]:
    made: list[SapClient] = []

    def client_of(url: str, *, idle_s_max: float = 45, **changes: Any) -> SapClient:
        chosen = settings(url, **changes)
        made.append(SapClient(chosen, Transport(chosen, idle_s_max=idle_s_max)))
        return made[-1]

    yield client_of
    for client in made:
        client.close()


def test_sixteen_threads_sessions_killed_every_order_is_booked_once(
    sandbox: RunningSandbox, settings: Settings, client_of: Callable[..., SapClient]
) -> None:
    client, mapping = client_of(sandbox.url, max_concurrency=16), Mapping(settings())
    orders = [[an_order() for _ in range(10)] for _ in range(16)]
    verdicts: list[Verdict] = []
    kills = 0

    def book(mine: list[Any]) -> None:
        for order in mine:
            verdicts.append(client.create(mapping.sales_order(order), soon()).verdict)

    threads = [threading.Thread(target=book, args=(mine,)) for mine in orders]
    for thread in threads:
        thread.start()
    for booked in range(30, 160, 30):
        wait_until(lambda booked=booked: len(verdicts) >= booked, 60, "more bookings")  # type: ignore[misc]
        kills += bool(requests.post(sandbox.expire_url, timeout=5).json()["expired"])
    for thread in threads:
        thread.join()

    stats = requests.get(sandbox.stats_url, timeout=5).json()
    assert set(verdicts) == {Verdict.BOOKED}
    assert stats["references"] == {order.order_number: 1 for mine in orders for order in mine}
    assert stats["csrf_refusals"] > 0
    assert stats["token_fetches"] <= kills + 1


def test_sixteen_threads_at_once_share_one_login(
    sandbox: RunningSandbox, settings: Settings, client_of: Callable[..., SapClient]
) -> None:
    client, mapping = client_of(sandbox.url), Mapping(settings())
    threads = [
        threading.Thread(target=client.create, args=(mapping.sales_order(an_order()), soon())) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stats = requests.get(sandbox.stats_url, timeout=5).json()
    assert (stats["orders"], stats["token_fetches"], stats["sessions"]) == (16, 1, 1)
    assert stats["max_concurrency"] <= 8


def test_login_fails_who_waited_takes_the_failure(sap: Any, client_of: Callable[..., SapClient]) -> None:
    sap.logins[0].act = "silence"
    client = client_of(sap.url, look_up_timeout_s=0.5)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(client.find("A", "1", "1710", soon()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: sap.requests, what="the first fetch")
    for thread in threads:
        thread.join()

    assert {answer.verdict for answer in answers} == {Verdict.RETRY}
    assert len(sap.requests) < 8


def test_token_goes_with_the_cookies_of_the_same_answer_and_later_cookies_are_ignored(
    sap: Any, settings: Settings, client_of: Callable[..., SapClient]
) -> None:
    reply = type(sap.logins[0])
    sap.posts = [reply(201, {"Set-Cookie": "SAP_SESSIONID_S4H_100=other"}, '{"d":{"SalesOrder":"1"}}')]
    client, order = client_of(sap.url), Mapping(settings()).sales_order(an_order())

    client.create(order, soon())
    client.create(order, soon())
    client.find("A", "1", "1710", soon())

    login, *later = sap.requests
    assert "cookie" not in login.headers
    assert login.headers["x-csrf-token"] == "Fetch"
    assert {request.headers["cookie"] for request in later} == {"SAP_SESSIONID_S4H_100=abc"}
    assert [request.headers.get("x-csrf-token") for request in later] == ["token", "token", None]
    assert {request.headers["sap-client"] for request in sap.requests} == {"100"}
    assert {request.headers["accept-language"] for request in sap.requests} == {"EN"}


@pytest.mark.parametrize(
    ("set_cookies", "header"),
    [
        ([], ""),
        (["SAP_SESSIONID_A_100=x%3d; path=/; HttpOnly", "sap-usercontext=sap-client=100; path=/"], None),
        (["a=1", "a=2; Secure"], "a=2"),
        (["a=; expires=Thu, 01-Jan-1970 00:00:00 GMT", "b", "=c", "d=1"], "d=1"),
    ],
)
def test_cookie_header_answers_set_cookie(set_cookies: list[str], header: str | None) -> None:
    expected = "SAP_SESSIONID_A_100=x%3d; sap-usercontext=sap-client=100" if header is None else header

    assert cookie_header(set_cookies) == expected


@pytest.mark.parametrize(
    "reference", ["O'Neill-1", "''", "Müller & Söhne", "50%+1 #2?", "a/b\\c", "' or 1 eq 1 or '", "WEB 1"]
)
def test_look_up_finds_exactly_its_reference(
    sandbox: RunningSandbox, settings: Settings, client_of: Callable[..., SapClient], reference: str
) -> None:
    client = client_of(sandbox.url)
    numbers = {}
    for other in (reference, reference + "x", "another"):
        order = Mapping(settings()).sales_order(an_order())
        order.document["PurchaseOrderByCustomer"] = other
        numbers[other] = client.create(order, soon()).number or ""

    assert client.find(reference, "17100001", "1710", soon()) == Found((numbers[reference],))
    assert client.find(reference + "y", "17100001", "1710", soon()) == Found(())
    assert client.find(reference, "17100002", "1710", soon()) == Found(())
    assert client.find(reference.lower() + "Q", "17100001", "1710", soon()) == Found(())


def test_look_up_takes_no_row_of_another_reference(sap: Any, client_of: Callable[..., SapClient]) -> None:
    rows = '{"SalesOrder":"1","PurchaseOrderByCustomer":"a"},{"SalesOrder":"2","PurchaseOrderByCustomer":"A"}'
    sap.look_ups[0].body = f'{{"d":{{"results":[{rows}]}}}}'

    assert client_of(sap.url).find("A", "1", "1710", soon()) == Found(("2",))


@pytest.mark.parametrize(("idle_s_max", "connections"), [(45, 1), (0, 4)])
def test_connection_is_kept_but_not_when_idle_for_too_long(
    sap: Any, client_of: Callable[..., SapClient], idle_s_max: float, connections: int
) -> None:
    client = client_of(sap.url, idle_s_max=idle_s_max)
    for _ in range(3):
        client.find("A", "1", "1710", soon())

    assert len(sap.requests) == 4
    assert sap.connections == connections


def test_environment_of_the_process_changes_nothing(
    sap: Any, client_of: Callable[..., SapClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert client_of(sap.url).find("A", "1", "1710", soon()) == Found(())


def test_deadline_passed_nothing_is_sent(sap: Any, settings: Settings, client_of: Callable[..., SapClient]) -> None:
    order = Mapping(settings()).sales_order(an_order())

    answer = client_of(sap.url).create(order, time.monotonic() + 0.5)

    assert (answer.verdict, answer.reason) == (Verdict.RETRY, "login: not sent: no time left")
    assert sap.requests == []


def test_all_slots_taken_nothing_is_sent_in_vain(sap: Any, client_of: Callable[..., SapClient]) -> None:
    client = client_of(sap.url, max_concurrency=1)
    client.find("A", "1", "1710", soon())
    sap.look_ups[0].act = "silence"
    busy = threading.Thread(target=client.find, args=("A", "1", "1710", soon()))
    busy.start()
    wait_until(lambda: len(sap.requests) == 3, what="the slot is taken")

    answer = client.find("B", "1", "1710", time.monotonic() + 1.1)
    sap.released.set()
    busy.join()

    assert answer == Answer(Verdict.RETRY, "not sent: no free slot in time", call=Call.LOOK_UP)


@pytest.mark.parametrize(
    ("status", "logins"), [(403, 2), (302, 2), (404, 1), (500, 1)], ids=["forbidden", "logon page", "gone", "failed"]
)
def test_refused_login_is_not_used_again(
    sap: Any, client_of: Callable[..., SapClient], status: int, logins: int
) -> None:
    """What a user may do is read when he logs on, and a dead session may be answered by a logon page for ever."""
    sap.look_ups = [type(sap.logins[0])(status), type(sap.logins[0])(200, {}, '{"d":{"results":[]}}')]
    client = client_of(sap.url)
    assert isinstance(client.find("A", "1", "1710", soon()), Answer)

    assert client.find("A", "1", "1710", soon()) == Found(())
    assert len([request for request in sap.requests if request.path.endswith("/")]) == logins
