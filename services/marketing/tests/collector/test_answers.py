"""What the receiver's answers mean, from a real server."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventbus.department import Blocked, Permanent, Transient
from eventbus.testing.builders import an_event
from eventbus.testing.ports import free_port
from marketing.collector.receiver import ANSWER_BYTES_MAX, Receiver

Client = Callable[..., Receiver]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(receiver: Any, client: Client, status: int) -> None:
    receiver.script = [reply(receiver, status)]
    client(receiver.url).post(an_event())


@pytest.mark.parametrize(
    ("status", "verdict", "says"),
    [
        (301, Blocked, "COLLECTOR_URL"),
        (302, Blocked, "COLLECTOR_URL"),
        (304, Blocked, "redirect"),
        (400, Permanent, "refuses this order"),
        (401, Blocked, "COLLECTOR_TOKEN"),
        (402, Permanent, "refuses this order"),
        (403, Blocked, "COLLECTOR_TOKEN"),
        (404, Blocked, "COLLECTOR_URL"),
        (405, Blocked, "COLLECTOR_URL"),
        (406, Blocked, "COLLECTOR_URL"),
        (407, Blocked, "proxy"),
        (408, Transient, "not now"),
        (409, Transient, "at work"),
        (410, Blocked, "COLLECTOR_URL"),
        (411, Blocked, "COLLECTOR_URL"),
        (413, Permanent, "refuses this order"),
        (415, Blocked, "COLLECTOR_CONTENT_TYPE"),
        (422, Permanent, "refuses this order"),
        (425, Transient, "not now"),
        (429, Transient, "not now"),
        (499, Permanent, "refuses this order"),
        (500, Transient, "failed"),
        (502, Transient, "failed"),
        (503, Transient, "failed"),
        (599, Transient, "failed"),
        (777, Transient, "failed"),
    ],
)
def test_refusal_has_its_verdict_and_names_the_status(
    receiver: Any, client: Client, status: int, verdict: type[Exception], says: str
) -> None:
    receiver.script = [reply(receiver, status, {"Location": f"{receiver.url}&elsewhere"}, b"Dan\xc3\xadel")]

    with pytest.raises(verdict, match=f"answered {status}: .*{says}") as raised:
        client(receiver.url, customer="name").post(an_event(customer_name="Daníel"))
    assert len(receiver.requests) == 1, "a redirect was followed, or the request repeated"
    assert "Dan" not in str(raised.value)


@pytest.mark.parametrize(("status", "wish", "heard"), [(429, "42", 42), (503, "42", 42), (503, "0", None)])
def test_wish_to_wait_goes_with_the_verdict(
    receiver: Any, client: Client, status: int, wish: str, heard: float | None
) -> None:
    receiver.script = [reply(receiver, status, {"Retry-After": wish})]

    with pytest.raises(Transient) as raised:
        client(receiver.url).post(an_event())
    assert raised.value.retry_after == heard


def test_cut_connection_is_tried_again_later(receiver: Any, client: Client) -> None:
    receiver.script = [reply(receiver, None)]

    with pytest.raises(Transient, match="no answer of the receiver: ConnectionError"):
        client(receiver.url).post(an_event())


def test_nobody_there_is_tried_again_later_and_the_address_is_not_told(client: Client) -> None:
    with pytest.raises(Transient, match="no answer of the receiver: ConnectionError") as raised:
        client(f"http://127.0.0.1:{free_port()}/hook/s3cret").post(an_event())
    assert "s3cret" not in str(raised.value)


def test_silent_receiver_is_tried_again_later(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dependency = client(f"http://127.0.0.1:{silent.getsockname()[1]}/", read_timeout_s=0.1)
        with pytest.raises(Transient, match="ReadTimeout"):
            dependency.post(an_event())


def test_certificate_that_is_not_trusted_pauses_and_an_own_ca_is_trusted(
    secure_receiver: Any, client: Client, certificate: Path
) -> None:
    with pytest.raises(Blocked, match="COLLECTOR_CA"):
        client(secure_receiver.url).post(an_event())
    assert not secure_receiver.requests

    client(secure_receiver.url, ca_file=str(certificate)).post(an_event())
    assert len(secure_receiver.requests) == 1


def test_long_answer_costs_the_connection_and_not_the_delivery(receiver: Any, client: Client) -> None:
    receiver.script = [reply(receiver, 200, body=b"x" * (ANSWER_BYTES_MAX + 1)), reply(receiver, 200)]
    dependency = client(receiver.url)
    dependency.post(an_event())
    dependency.post(an_event())

    assert len({request.connection for request in receiver.requests}) == 2


def test_surroundings_change_no_request(
    receiver: Any, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password stranger\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    receiver.script = [reply(receiver, 200, {"Set-Cookie": "session=1"})]
    dependency = client(receiver.url)
    for _ in range(2):
        dependency.post(an_event())

    assert not [request for request in receiver.requests if {"authorization", "cookie"} & request.headers.keys()]
    assert json.loads(receiver.requests[0].body)["type"] == "order.created"


def reply(receiver: Any, status: int | None, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
    return type(receiver.script[0])(status, headers or {}, body)
