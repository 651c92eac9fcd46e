"""IPP as bytes: requests that servers take, answers of real servers, and answers that are cut off."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from printer.ipp_message import MalformedIppError, Tag, decode_response, encode_request

CAPTURED = Path(__file__).parent / "captured"
JOB = (CAPTURED / "ippeveprinter-get-job-attributes.ipp").read_bytes()
# with collections in collections, ranges, dates and values that are unknown
PRINTER = (CAPTURED / "ippeveprinter-get-printer-attributes.ipp").read_bytes()


def test_request_is_encoded_as_rfc_8010_shows() -> None:
    """Appendix A.1 of RFC 8010, shortened to what we send."""
    request = encode_request(
        0x0002,
        1,
        [
            (
                Tag.OPERATION,
                {
                    "attributes-charset": (Tag.CHARSET, "utf-8"),
                    "attributes-natural-language": (Tag.LANGUAGE, "en-us"),
                    "printer-uri": (Tag.URI, "ipp://printer.example.com/ipp/print/pinetree"),
                    "job-name": (Tag.NAME, "foobar"),
                    "ipp-attribute-fidelity": (Tag.BOOLEAN, True),
                },
            ),
            (Tag.JOB, {"copies": (Tag.INTEGER, 20), "sides": (Tag.KEYWORD, "two-sided-long-edge")}),
        ],
    )
    assert request == (
        b"\x02\x00\x00\x02\x00\x00\x00\x01"
        b"\x01"
        b"\x47\x00\x12attributes-charset\x00\x05utf-8"
        b"\x48\x00\x1battributes-natural-language\x00\x05en-us"
        b"\x45\x00\x0bprinter-uri\x00\x2cipp://printer.example.com/ipp/print/pinetree"
        b"\x42\x00\x08job-name\x00\x06foobar"
        b"\x22\x00\x16ipp-attribute-fidelity\x00\x01\x01"
        b"\x02"
        b"\x21\x00\x06copies\x00\x04\x00\x00\x00\x14"
        b"\x44\x00\x05sides\x00\x13two-sided-long-edge"
        b"\x03"
    )


def test_several_values_share_one_name() -> None:
    request = encode_request(0x0B, 1, [(Tag.OPERATION, {"requested-attributes": (Tag.KEYWORD, ("a", "b"))})])
    assert b"\x44\x00\x14requested-attributes\x00\x01a\x44\x00\x00\x00\x01b\x03" in request


def test_answer_of_a_real_printer_about_a_job_is_decoded() -> None:
    job = decode_response(JOB).first(Tag.JOB)
    assert job["job-id"] == (1,)
    assert job["job-name"] == ("A-1",)
    assert job["job-state"] == (4,)
    assert job["job-state-reasons"] == ("job-data-insufficient",)
    assert job["date-time-at-completed"] == (None,)


def test_answer_of_a_real_printer_about_itself_is_decoded() -> None:
    response = decode_response(PRINTER)
    printer = response.first(Tag.PRINTER)
    assert response.status == 0
    assert printer["document-format-supported"] == ("application/octet-stream", "application/pdf")
    assert "iso_a4_210x297mm" in printer["media-supported"]
    assert printer["printer-state-reasons"] == ("none",)
    assert printer["media-size-supported"] == (None,) * 5, "collections are skipped"
    assert printer["which-jobs-supported"][-1] == "processing-stopped", "what follows collections is read"


@pytest.mark.parametrize("captured", [JOB, PRINTER], ids=["job", "printer"])
def test_answer_that_is_cut_at_any_byte_is_malformed(captured: bytes) -> None:
    for length in range(len(captured)):
        with pytest.raises(MalformedIppError):
            decode_response(captured[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    with suppress(MalformedIppError):
        decode_response(b"\x02\x00\x00\x00\x00\x00\x00\x01" + data)


def test_html_page_is_no_ipp_message() -> None:
    with pytest.raises(MalformedIppError):
        decode_response(b"<!DOCTYPE html><html><body>It works!</body></html>")


def test_several_jobs_are_several_groups() -> None:
    group = b"\x02\x21\x00\x06job-id\x00\x04\x00\x00\x00"
    jobs = decode_response(b"\x02\x00\x00\x00\x00\x00\x00\x01" + group + b"\x07" + group + b"\x08\x03").all(Tag.JOB)
    assert [job["job-id"] for job in jobs] == [(7,), (8,)]


def test_name_with_language_is_read_without_it() -> None:
    value = b"\x00\x02en\x00\x05Anna1"
    body = b"\x02\x00\x00\x00\x00\x00\x00\x01\x02\x36\x00\x08job-name" + len(value).to_bytes(2) + value + b"\x03"
    assert decode_response(body).first(Tag.JOB)["job-name"] == ("Anna1",)
