"""Who is let in, sessions and their CSRF tokens."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from sap_sandbox.sessions import Sessions, TooManySessionsError

SESSION = "SAP_SESSIONID_S4H_100"
FETCH = {"X-CSRF-Token": "Fetch"}


def assert_token_required(answer: requests.Response) -> None:
    assert answer.status_code == 403
    assert answer.headers["x-csrf-token"] == "Required"
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "CSRF token validation failed"


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        pytest.param(None, {}, id="no credentials"),
        pytest.param(("WEBSHOP", "wrong"), {}, id="wrong password"),
        pytest.param(("SOMEBODY", "sandbox"), {}, id="wrong user"),
        pytest.param(None, {"Authorization": "Bearer abc"}, id="another scheme"),
        pytest.param(None, {"Authorization": "Basic !"}, id="not base64"),
        pytest.param(("WEBSHOP", "sandbox"), {"sap-client": "200"}, id="wrong client"),
    ],
)
def test_wrong_logon_is_refused_with_a_page(caller: Any, auth: Any, headers: dict[str, str]) -> None:
    caller.auth, caller.cookies = auth, {}

    answer = caller.get("/", headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "set-cookie" not in answer.headers


def test_wrong_client_in_the_query_is_refused(sandbox: Any) -> None:
    answer = requests.get(f"{sandbox.url}/?sap-client=200", auth=("WEBSHOP", "sandbox"), timeout=10)
    assert answer.status_code == 401


def test_wrong_credentials_are_refused_in_a_living_session(caller: Any) -> None:
    caller.auth = ("WEBSHOP", "wrong")
    assert caller.get("/").status_code == 401


def test_living_session_needs_no_credentials(caller: Any) -> None:
    caller.auth = None
    assert caller.get("/").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_fetch_gives_token_and_both_cookies(sandbox: Any, method: str) -> None:
    answer = requests.request(method, f"{sandbox.url}/", auth=("webshop", "sandbox"), headers=FETCH, timeout=10)

    assert answer.status_code == 200
    assert len(answer.headers["x-csrf-token"]) > 10
    assert answer.cookies.get_dict().keys() == {SESSION, "sap-usercontext"}
    assert answer.cookies["sap-usercontext"] == "sap-client=100"


def test_fetch_in_a_session_gives_the_same_token_and_no_cookie(caller: Any) -> None:
    again = caller.get("/", {"X-CSRF-Token": "fetch"})

    assert again.headers["x-csrf-token"] == caller.headers["X-CSRF-Token"]
    assert "set-cookie" not in again.headers


def test_each_call_without_cookie_opens_a_session(sandbox: Any) -> None:
    calls = [requests.get(f"{sandbox.url}/", auth=("WEBSHOP", "sandbox"), headers=FETCH, timeout=10) for _ in range(2)]
    assert len({call.cookies[SESSION] for call in calls}) == 2
    assert len({call.headers["x-csrf-token"] for call in calls}) == 2


def test_token_is_not_given_unasked(caller: Any) -> None:
    assert "x-csrf-token" not in caller.get("/", {"X-CSRF-Token": "other"}).headers


def test_address_without_slash_redirects_and_gives_no_token(caller: Any) -> None:
    answer = caller.get("", FETCH)

    assert answer.status_code == 307
    assert answer.headers["location"] == f"{caller.url}/"
    assert "x-csrf-token" not in answer.headers


@pytest.mark.parametrize(
    ("token", "cookie"),
    [
        pytest.param(None, "own", id="no token"),
        pytest.param("invented", "own", id="invented token"),
        pytest.param("Fetch", "own", id="fetch in a write"),
        pytest.param("own", "foreign", id="own token, foreign cookie"),
        pytest.param("own", None, id="own token, no cookie"),
        pytest.param("own", "invented", id="own token, invented cookie"),
    ],
)
def test_write_without_the_sessions_own_token_is_refused(
    sandbox: Any, log_on: Callable[..., Any], an_order: Any, token: str | None, cookie: str | None
) -> None:
    own, foreign = log_on(sandbox), log_on(sandbox)
    tokens = {"own": own.headers.pop("X-CSRF-Token")}
    own.cookies = {
        "own": own.cookies,
        "foreign": foreign.cookies,
        "invented": {SESSION: "invented"},
        None: {},
    }[cookie]

    answer = own.create(an_order("CSRF"), {"X-CSRF-Token": tokens.get(token, token)} if token else {})

    assert_token_required(answer)
    assert "CSRF" not in foreign.references(filter="PurchaseOrderByCustomer eq 'CSRF'")
    assert (SESSION in answer.cookies) == (cookie in (None, "invented"))


def test_expired_session_is_refused_and_a_new_login_works(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    sandbox = start_sandbox()
    caller = log_on(sandbox)
    old = dict(caller.cookies)

    assert requests.post(sandbox.expire_url, timeout=10).json() == {"expired": 1}
    refused = caller.create(an_order())
    caller.log_on()
    accepted = caller.create(an_order())

    assert_token_required(refused)
    assert refused.cookies[SESSION] != old[SESSION]
    assert accepted.status_code == 201
    stats = requests.get(sandbox.stats_url, timeout=10).json()
    assert (stats["logins"], stats["token_fetches"], stats["csrf_refusals"], stats["posts"]) == (3, 2, 1, 1)


def test_token_of_the_refusals_new_session_is_fetched_with_its_cookie(
    start_sandbox: Any, log_on: Callable[..., Any], an_order: Any
) -> None:
    sandbox = start_sandbox()
    caller = log_on(sandbox)
    requests.post(sandbox.expire_url, timeout=10)

    caller.cookies = caller.create(an_order()).cookies.get_dict()
    caller.headers["X-CSRF-Token"] = caller.get("/", FETCH).headers["x-csrf-token"]

    assert caller.create(an_order()).status_code == 201


def test_no_more_sessions_than_allowed(start_sandbox: Any, log_on: Callable[..., Any]) -> None:
    sandbox = start_sandbox(sessions_max=2)
    callers = [log_on(sandbox) for _ in range(2)]

    refused = requests.get(f"{sandbox.url}/", auth=("WEBSHOP", "sandbox"), timeout=10)

    assert refused.status_code == 503
    assert refused.headers["content-type"].startswith("text/html")
    assert [caller.get("/").status_code for caller in callers] == [200, 200]
    requests.post(sandbox.expire_url, timeout=10)
    log_on(sandbox)


def test_session_ends_when_idle_for_too_long() -> None:
    now = 0.0
    sessions = Sessions(idle_s=60, limit=1, clock=lambda: now)
    session = sessions.create()
    now = 60.0
    assert sessions.find(session.id) is session
    now = 120.0
    assert sessions.find(session.id) is session
    with pytest.raises(TooManySessionsError):
        sessions.create()
    now = 180.5
    assert sessions.find(session.id) is None
    assert sessions.create().token != session.token
