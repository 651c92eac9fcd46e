"""Printers that want a login, and printers that have to prove who they are."""

from typing import Any

import pytest
from eventbus.department import Blocked, InHand
from eventbus.settings import SettingsError, config_path, load
from eventbus.testing.builders import an_event
from printer.ipp_access import Access
from printer.settings import PrinterSettings
from printer.testing.cutting_proxy import CuttingProxy

from .certificates import Certificates
from .cups import Queue
from .steps import a_queue, follow_until

URI = "ipps://printer.example/ipp/print"


def secure(uri: str) -> str:
    return uri.replace("ipp:", "ipps:")


def test_login_that_is_missing_pauses_the_department_and_says_what_to_set(cups: Queue, desk: Any) -> None:
    cups.set("printer-op-policy=login")
    with pytest.raises(Blocked, match="HTTP 401: it wants a login: PRINTER_USER and PRINTER_PASSWORD"):
        a_queue(cups.uri).print_once(an_event(), desk)


@pytest.mark.parametrize("password", ["secret", "Ærø:Пароль"])
def test_slip_is_printed_and_followed_with_the_right_login(
    cups: Queue, cups_proxy: CuttingProxy, desk: Any, password: str
) -> None:
    """CUPS asks PAM, where tests may have no password; the login is asked for by a proxy in front of it."""
    cups_proxy.require_login("printer", password)
    queue, event = a_queue(cups_proxy.uri, access=Access("printer", password)), an_event()
    assert isinstance(queue.print_once(event, desk), InHand)
    follow_until(queue, desk, "done", event.subject)
    assert cups.papers() == [event.subject]
    with pytest.raises(Blocked, match="HTTP 401"):
        a_queue(cups_proxy.uri, access=Access("printer", "wrong")).print_once(an_event(), desk)


def test_login_that_expires_is_reported_once_for_a_slip_and_following_goes_on(
    cups: Queue, cups_proxy: CuttingProxy, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("printer.follower.STUCK_S", 0.0)
    monkeypatch.setattr("printer.follower_lease.LEASE_S", 0.0)
    monkeypatch.setattr("printer.follower.POLL_MAX_S", 0.0)
    queue, event = a_queue(cups_proxy.uri, access=Access("printer", "old")), an_event()
    queue.print_once(event, desk)
    cups_proxy.require_login("printer", "new")
    for _ in range(2):
        queue.follow(desk)
    (report,) = desk.results.published
    assert report["state"] == "waiting"
    assert "PRINTER_PASSWORD" in report["detail"]
    follow_until(a_queue(cups_proxy.uri, access=Access("printer", "new")), desk, "done", event.subject)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "HTTP 401: it wants a login"),
        (403, "HTTP 403: the login may not do this"),
        (404, "HTTP 404: there is no printer at this path"),
        (426, "HTTP 426: it wants TLS: use ipps://"),
    ],
)
def test_refusal_pauses_the_department_and_says_what_to_do(
    scripted_printer: Any, desk: Any, status: int, reason: str
) -> None:
    with pytest.raises(Blocked, match=reason):
        a_queue(scripted_printer((status, {}, b"")).uri).print_once(an_event(), desk)


@pytest.mark.parametrize("how", ["by our CA", "by its fingerprint"])
def test_slip_is_printed_over_ipps_where_the_certificate_is_trusted(
    ipps_cups: Queue, certificates: Certificates, desk: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.other_ca_file))
    given = {"PRINTER_URI": secure(ipps_cups.uri)}
    if how == "by our CA":
        given["PRINTER_CA"] = str(certificates.ca_file)
    else:
        given["PRINTER_CERT_SHA256"] = certificates.fingerprint
    settings = load(PrinterSettings, config_path("printer", {}), given)
    queue, event = a_queue(settings.printer_uri, access=settings.access), an_event()
    queue.print_once(event, desk)
    follow_until(queue, desk, "done", event.subject)
    assert ipps_cups.papers() == [event.subject]


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        ({}, r"certificate is refused \(.*(unable to get local issuer|self-signed)"),
        ({"ca_file": "other"}, r"certificate is refused \(unable to get local issuer"),
        ({"ca_file": "ours", "host": "127.0.0.1"}, r"certificate is refused \(IP address mismatch"),
        ({"cert_sha256": "0" * 64}, "is not the one of PRINTER_CERT_SHA256"),
    ],
    ids=["CA unknown", "another CA", "another name", "another certificate"],
)
def test_certificate_that_is_not_trusted_pauses_the_department_and_says_why(
    ipps_cups: Queue, certificates: Certificates, desk: Any, trust: dict[str, str], reason: str
) -> None:
    files = {"ours": str(certificates.ca_file), "other": str(certificates.other_ca_file)}
    access = Access(ca_file=files.get(trust.get("ca_file", "")), cert_sha256=trust.get("cert_sha256"))
    uri = secure(ipps_cups.uri).replace("localhost", trust.get("host", "localhost"))
    with pytest.raises(Blocked, match=reason):
        a_queue(uri, access=access).print_once(an_event(), desk)


def test_printer_without_tls_at_an_ipps_address_pauses_the_department(scripted_printer: Any, desk: Any) -> None:
    with pytest.raises(Blocked, match="no TLS with this printer"):
        a_queue(secure(scripted_printer((200, {}, b"")).uri)).print_once(an_event(), desk)


def test_password_is_in_no_text_of_the_login() -> None:
    assert "secret" not in repr(Access("printer", "secret"))


def test_password_may_lie_in_a_file(tmp_path: Any) -> None:
    (tmp_path / "password").write_text("secret\n")
    given = {"PRINTER_URI": URI, "PRINTER_USER": "printer", "PRINTER_PASSWORD_FILE": str(tmp_path / "password")}
    assert load(PrinterSettings, config_path("printer", {}), given).access == Access("printer", "secret")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"PRINTER_USER": "a"}, "expected both PRINTER_USER and PRINTER_PASSWORD, or neither"),
        ({"PRINTER_PASSWORD": "secret"}, "expected both PRINTER_USER and PRINTER_PASSWORD, or neither"),
        ({"PRINTER_URI": "ipps://a:secret@printer/"}, "without login, which belongs into PRINTER_USER"),
        ({"PRINTER_CA": "/nowhere"}, "PRINTER_CA: a file with certificates as PEM"),
        ({"PRINTER_CA": __file__}, "PRINTER_CA: a file with certificates as PEM"),
        ({"PRINTER_URI": "ipp://printer/", "PRINTER_CERT_SHA256": "00" * 32}, "only with an ipps:// address"),
        ({"PRINTER_CERT_SHA256": "00:11"}, "64 hexadecimal digits"),
        ({"PRINTER_FORGETS": "all"}, "forgets: expected 'nothing' or 'done'"),
        ({"PRINTER_LOST": "ignore"}, "lost: expected 'attention' or 'repeat'"),
    ],
)
def test_wrong_setting_is_named_in_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PrinterSettings, config_path("printer", {}), {"PRINTER_URI": URI, **given})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_certificate_is_trusted_by_one_way_alone(certificates: Certificates) -> None:
    given = {"PRINTER_CA": str(certificates.ca_file), "PRINTER_CERT_SHA256": certificates.fingerprint}
    with pytest.raises(SettingsError, match="PRINTER_CERT_SHA256 or PRINTER_CA, not both"):
        load(PrinterSettings, config_path("printer", {}), {"PRINTER_URI": URI, **given})
