"""Calls of a target: what every department hears and trusts alike. TLS is tested by the departments that speak it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from eventbus.department.http_target import (
    RETRY_AFTER_S_MAX,
    TargetAdapter,
    certificates_file,
    kinds_of,
    open_session,
    retry_after_s,
)
from eventbus.testing.ports import free_port


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("90000", RETRY_AFTER_S_MAX),
        ("9" * 400, RETRY_AFTER_S_MAX),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("nan", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds


def test_retry_after_that_is_a_date_counts_from_now() -> None:
    heard = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert heard is not None
    assert 30 < heard <= 60


def test_failure_is_told_by_its_kinds_without_their_texts() -> None:
    session = open_session(TargetAdapter(1))
    with pytest.raises(requests.ConnectionError) as refused:
        session.get(f"http://127.0.0.1:{free_port()}/secret", timeout=5)
    kinds = kinds_of(refused.value).split(" from ")
    assert (kinds[0], kinds[-1]) == ("ConnectionError", "ConnectionRefusedError")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_file_without_certificates_is_refused_with_its_variable(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^SHOP_CA: a file with certificates as PEM"):
        certificates_file(str(file), "SHOP_CA")
