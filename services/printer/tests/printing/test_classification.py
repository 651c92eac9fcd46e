"""Every row of the classification: what an answer of the printer means."""

import socket
import ssl
from typing import Any

import pytest
import requests
import urllib3
from printer.classification import (
    Fate,
    fate_of_exception,
    fate_of_http,
    fate_of_status,
    is_in_trouble,
)


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (0x0000, Fate.OK),
        (0x0001, Fate.OK),
        (0x0401, Fate.CONFIGURATION),
        (0x0402, Fate.CONFIGURATION),
        (0x0403, Fate.CONFIGURATION),
        (0x0406, Fate.CONFIGURATION),
        (0x040A, Fate.CONFIGURATION),
        (0x040B, Fate.ATTRIBUTES),
        (0x040E, Fate.ATTRIBUTES),
        (0x0400, Fate.PERMANENT),
        (0x0404, Fate.PERMANENT),
        (0x0409, Fate.PERMANENT),
        (0x0500, Fate.UNKNOWN),
        (0x0501, Fate.CONFIGURATION),
        (0x0502, Fate.BUSY),
        (0x0503, Fate.CONFIGURATION),
        (0x0504, Fate.PAUSED),
        (0x0505, Fate.BUSY),
        (0x0506, Fate.PAUSED),
        (0x0507, Fate.BUSY),
        (0x0509, Fate.UNKNOWN),
    ],
)
def test_fate_of_an_ipp_status(status: int, fate: Fate) -> None:
    assert fate_of_status(status) is fate


@pytest.mark.parametrize(
    ("status", "has_retry_after", "fate"),
    [
        (200, False, Fate.OK),
        (301, False, Fate.CONFIGURATION),
        (400, False, Fate.CONFIGURATION),
        (401, False, Fate.CONFIGURATION),
        (403, False, Fate.CONFIGURATION),
        (404, False, Fate.CONFIGURATION),
        (408, False, Fate.UNKNOWN),
        (413, False, Fate.PERMANENT),
        (426, False, Fate.CONFIGURATION),
        (429, False, Fate.BUSY),
        (500, False, Fate.UNKNOWN),
        (502, True, Fate.UNKNOWN),
        (503, False, Fate.UNKNOWN),
        (503, True, Fate.BUSY),
    ],
)
def test_fate_of_an_http_status(status: int, has_retry_after: bool, fate: Fate) -> None:
    assert fate_of_http(status, has_retry_after) is fate


def _pool() -> Any:
    return urllib3.HTTPConnectionPool("printer.invalid")


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        pytest.param(
            requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(
                    _pool(), "/", urllib3.exceptions.NewConnectionError(_pool(), "refused")
                )
            ),
            Fate.RETRY,
            id="refused",
        ),
        pytest.param(
            requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(
                    _pool(), "/", urllib3.exceptions.NameResolutionError("printer", _pool(), socket.gaierror())
                )
            ),
            Fate.RETRY,
            id="name not found",
        ),
        pytest.param(requests.ConnectTimeout(), Fate.RETRY, id="connect time-out"),
        pytest.param(requests.ReadTimeout(), Fate.UNKNOWN, id="read time-out"),
        pytest.param(
            requests.ConnectionError(urllib3.exceptions.ProtocolError("closed", ConnectionResetError())),
            Fate.UNKNOWN,
            id="reset",
        ),
        pytest.param(requests.exceptions.ChunkedEncodingError(), Fate.UNKNOWN, id="cut answer"),
        pytest.param(
            requests.exceptions.SSLError(
                urllib3.exceptions.MaxRetryError(
                    _pool(), "/", urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
                )
            ),
            Fate.CONFIGURATION,
            id="certificate",
        ),
        pytest.param(requests.exceptions.SSLError(ssl.SSLEOFError()), Fate.UNKNOWN, id="TLS cut"),
    ],
)
def test_fate_of_a_request_without_answer(error: requests.RequestException, fate: Fate) -> None:
    assert fate_of_exception(error) is fate


def test_port_on_which_nobody_listens_is_surely_not_accepted() -> None:
    with pytest.raises(requests.RequestException) as caught:
        requests.post("http://127.0.0.1:1/", timeout=3)
    assert fate_of_exception(caught.value) is Fate.RETRY


@pytest.mark.parametrize(
    ("state", "reasons", "in_trouble"),
    [
        (3, ("none",), False),
        (4, ("toner-low-warning",), False),
        (5, ("none",), True),
        (5, ("paused",), True),
        (4, ("media-needed-warning",), True),
        (4, ("media-empty-error",), True),
        (4, ("media-jam-error",), True),
        (3, ("cover-open-report",), True),
        (4, ("none", "marker-supply-empty"), True),
        (3, ("offline-report",), True),
        (3, ("media-low-warning",), False),
    ],
)
def test_trouble_is_what_a_person_must_mend(state: int, reasons: tuple[str, ...], in_trouble: bool) -> None:
    assert is_in_trouble(state, reasons) is in_trouble
