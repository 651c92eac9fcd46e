"""The printer's configuration."""

from pathlib import Path

import pytest
from eventbus.settings import SettingsError, config_path, load
from printer.settings import PrinterSettings

SHIPPED = config_path("printer", {})


def test_shipped_configuration_needs_only_the_printers_address() -> None:
    settings = load(PrinterSettings, SHIPPED, {"PRINTER_URI": "ipp://printer.example/ipp/print"})
    assert settings.folder is None
    assert settings.paper == "a4"
    assert settings.window == 20


@pytest.mark.parametrize(
    ("uri", "folder"),
    [("file:///var/slips", "/var/slips"), ("file://localhost/a%20b", "/a b"), ("ipps://printer/x", None)],
)
def test_file_address_names_a_folder(uri: str, folder: str | None) -> None:
    settings = load(PrinterSettings, SHIPPED, {"PRINTER_URI": uri})
    assert settings.folder == (Path(folder) if folder else None)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "printer_uri: expected the environment variable PRINTER_URI"),
        ({"PRINTER_URI": "http://printer/"}, "printer_uri: expected ipp://host/path"),
        ({"PRINTER_URI": "file://slips"}, "printer_uri: expected ipp://host/path"),
        ({"PRINTER_URI": "ipp://[::1"}, "printer_uri: expected ipp://host/path"),
        ({"PRINTER_URI": "file:///s", "SLIP_KEEP_DAYS": "0"}, "keep_days: expected greater than or equal to 1"),
        ({"PRINTER_URI": "file:///s", "PRINTER_PATTERNS": "order.created.North"}, "patterns: expected order.created.*"),
        ({"PRINTER_URI": "file:///s", "PRINTER_PATTERNS": "order.#"}, "patterns: expected order.created.* or routing"),
        (
            {"PRINTER_URI": "file:///s", "DEPARTMENT": "printer_north"},
            "patterns: expected the routing keys of one warehouse, such as order.created.north",
        ),
        (
            {"PRINTER_URI": "file:///s", "DEPARTMENT": "printer_north", "PRINTER_PATTERNS": "order.created.*"},
            "patterns: expected the routing keys of one warehouse, such as order.created.north",
        ),
        ({"PRINTER_URI": "file:///s", "PRINTER_PAPER": "a3"}, "paper: expected one of a4, letter, label"),
        ({"PRINTER_URI": "file:///s", "PRINTER_WINDOW": "0"}, "window: expected greater than or equal to 1"),
        ({"PRINTER_URI": "file:///s", "SLIP_CJK": "XX"}, "cjk: expected 'SC', 'TC', 'HK', 'JP' or 'KR'"),
        ({"PRINTER_URI": "file:///s", "TIMEZONE": "Mars/Base"}, "timezone: expected a name of the IANA"),
        ({"PRINTER_URI": "file:///s", "TIMEZONE": "../etc/passwd"}, "timezone: expected a name of the IANA"),
    ],
)
def test_wrong_value_is_named_in_one_line(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(PrinterSettings, SHIPPED, environ)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
