"""The client against a real IPP printer."""

from typing import Any

import pytest
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until
from printer.classification import Fate, JobState, PrinterError
from printer.ipp_client import IppPrinter
from printer.ipp_transport import http_url
from printer.papers import PAPERS, media_named

A4 = "iso_a4_210x297mm"


@pytest.fixture
def pdf(makers: Any) -> bytes:
    from eventbus.testing.builders import an_order

    made: bytes = makers["a4"].render(an_order())
    return made


def test_document_is_printed_as_it_was_sent(ippeveprinter: Any, pdf: bytes) -> None:
    client = ippeveprinter.client()
    job_id = client.create_job("A-1", A4)
    empty = client.job(job_id)
    assert empty.is_empty
    assert not empty.is_finished
    client.send_document(job_id, pdf)
    wait_until(lambda: client.job(job_id).state == JobState.COMPLETED)
    assert not client.job(job_id).is_empty
    assert ippeveprinter.paper("A-1").read_bytes() == pdf
    assert client.find_job("A-1").id == job_id
    assert client.find_job("A-2") is None
    assert client.job(99) is None


def test_unknown_paper_is_not_asked_for(ippeveprinter: Any) -> None:
    assert ippeveprinter.client().create_job("A-1", "na_index-4x6_4x6in") == 1


def test_second_job_meets_a_busy_printer(ippeveprinter: Any) -> None:
    client = ippeveprinter.client()
    client.create_job("A-1", A4)
    with pytest.raises(PrinterError, match="0x0507") as caught:
        client.create_job("A-2", A4)
    assert caught.value.fate is Fate.BUSY


def test_printer_without_pdf_is_a_wrong_configuration(ippeveprinter: Any) -> None:
    ippeveprinter.kill()
    ippeveprinter.start(formats="image/jpeg")
    with pytest.raises(PrinterError, match="does not take PDF") as caught:
        ippeveprinter.client().create_job("A-1", A4)
    assert caught.value.fate is Fate.CONFIGURATION


def test_printer_that_is_off_surely_accepted_nothing() -> None:
    client = IppPrinter(f"ipp://localhost:{free_port()}/ipp/print", connections=1)
    with pytest.raises(PrinterError) as caught:
        client.create_job("A-1", A4)
    assert caught.value.fate is Fate.RETRY


def test_wrong_path_is_a_wrong_configuration(ippeveprinter: Any) -> None:
    client = IppPrinter(ippeveprinter.uri.replace("/ipp/print", "/nothing"), connections=1)
    with pytest.raises(PrinterError) as caught:
        client.create_job("A-1", A4)
    assert caught.value.fate is Fate.CONFIGURATION


def _ipp(status: int, groups: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"\x02\x00" + status.to_bytes(2) + b"\x00\x00\x00\x01" + groups + b"\x03"


def _keyword(name: str, value: str) -> bytes:
    return b"\x44" + len(name).to_bytes(2) + name.encode() + len(value).to_bytes(2) + value.encode()


CAPABLE = _ipp(0, b"\x04" + _keyword("document-format-supported", "application/pdf") + _keyword("media-supported", A4))
NEW_JOB = _ipp(0, b"\x02\x21\x00\x06job-id\x00\x04\x00\x00\x00\x11")
REFUSED_MEDIA = _ipp(0x040B, b"\x05" + _keyword("media", A4))


def test_job_whose_attributes_are_refused_is_made_without_them(scripted_printer: Any) -> None:
    printer = scripted_printer(CAPABLE, REFUSED_MEDIA, NEW_JOB)
    assert IppPrinter(printer.uri, connections=1).create_job("A-1", A4) == 17
    assert [A4.encode() in request for request in printer.requests] == [False, True, False]


def test_job_refused_without_attributes_too_is_permanent(scripted_printer: Any) -> None:
    printer = scripted_printer(CAPABLE, REFUSED_MEDIA)
    with pytest.raises(PrinterError, match=r"0x040b \(media\)") as caught:
        IppPrinter(printer.uri, connections=1).create_job("A-1", A4)
    assert caught.value.fate is Fate.PERMANENT


@pytest.mark.parametrize(
    ("answer", "fate", "reason"),
    [
        pytest.param((401, {}, b""), Fate.CONFIGURATION, "HTTP 401", id="login"),
        pytest.param((302, {"Location": "http://x/"}, b""), Fate.CONFIGURATION, "HTTP 302", id="redirect"),
        pytest.param((500, {}, b""), Fate.UNKNOWN, "HTTP 500", id="server error"),
        pytest.param((503, {"Retry-After": "7"}, b""), Fate.BUSY, "HTTP 503", id="later"),
        pytest.param((200, {}, b"<html>"), Fate.UNKNOWN, "not IPP", id="not IPP"),
        pytest.param(_ipp(0), Fate.UNKNOWN, "no printer group", id="nothing in it"),
        pytest.param(_ipp(0x0506), Fate.PAUSED, "0x0506", id="rejecting"),
        pytest.param(_ipp(0x040B, b"\x05" + _keyword("document-format", "x")), Fate.CONFIGURATION, "0x040b", id="PDF"),
    ],
)
def test_failure_tells_its_fate_and_reason(scripted_printer: Any, answer: Any, fate: Fate, reason: str) -> None:
    with pytest.raises(PrinterError, match=reason) as caught:
        IppPrinter(scripted_printer(answer).uri, connections=1).create_job("A-1", A4)
    assert caught.value.fate is fate
    assert caught.value.retry_after_s == (7 if fate is Fate.BUSY else None)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("ipp://printer.example/ipp/print", "http://printer.example:631/ipp/print"),
        ("ipps://printer.example:8631/x", "https://printer.example:8631/x"),
        ("ipp://[::1]/ipp/print", "http://[::1]:631/ipp/print"),
        ("ipp://printer.example", "http://printer.example:631/"),
    ],
)
def test_address_of_a_printer_is_one_of_http(uri: str, url: str) -> None:
    assert http_url(uri) == url


@pytest.mark.parametrize("uri", ["http://printer/", "ipp:///x", "printer", "file:///x", ""])
def test_other_address_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="ipp://"):
        http_url(uri)


@pytest.mark.parametrize(
    ("paper", "supported", "asked"),
    [
        ("label", ("na_index-4x6_4x6in", "oe_4x6-label_4x6in"), "na_index-4x6_4x6in"),
        ("label", ("iso_a6_105x148mm", "oe_4x6-label_4x6in"), "oe_4x6-label_4x6in"),
        (
            "label",
            ("om_100x150mm_100x150mm", "custom_101.6x152.4mm_101.6x152.4mm"),
            "custom_101.6x152.4mm_101.6x152.4mm",
        ),
        ("label", ("custom_min_4x6in", "custom_max_4x6in", "roll_max_4x6in"), None),
        ("label", ("iso_a6_105x148mm", "w288h432", "auto", "4x6in", "jpn_hagaki_100x148mm"), None),
        ("a4", ("iso_a4-tab_225x297mm", "om_small_210x297mm"), "om_small_210x297mm"),
        ("letter", ("na_legal_8.5x14in", "na_letter-plain_8.5x11in"), "na_letter-plain_8.5x11in"),
    ],
)
def test_paper_is_asked_for_by_the_name_that_the_printer_has_for_it(
    paper: str, supported: tuple[str, ...], asked: str | None
) -> None:
    assert media_named(PAPERS[paper].media, supported) == asked
