"""The dry run, as an operator types it: `bus-sap preview`."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventbus.contract import OrderCreated
from eventbus.testing import an_event
from sap_bridge import cli

PLACED = {
    "order_number": "6Y3P-1D2A-XAQG",
    "status": "received",
    "customer_name": "Daníel",
    "product_ids": [2, 4, 42, 2],
    "region": "north",
    "created_at": "2026-11-24T23:30:00.000Z",
    "departments": {},
}
SHOWN = """\
Order 6Y3P-1D2A-XAQG would become this sales order (http://127.0.0.1:1/sap/A):

  Order type          OR
  Sales area          1720 / 20 / 00  (row of the region)
  Sold-to party       17200009
  Customer reference  WEB-6Y3P-1D2A-XAQG
  Customer's date     2026-11-25  (in Europe/Berlin)
  Text TX01 (EN)      Daníel

    Item  Quantity  Material    Product
      10         2  TG11        2  (row of the product)
      20         1  MAT-0004    4  (row *)
      30         1  MAT-0042    42  (row *)
"""
MAPPING = """\
sales_areas: {north: {organization: 1720, channel: 20, division: 00, sold_to: 17200009}}
materials: {2: TG11, "*": "MAT-{product_id:04d}"}
"""

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs `bus-sap preview` on this document; exit code, output, errors."""
    mapping, order = tmp_path / "mapping.yaml", tmp_path / "order.json"
    mapping.write_text(MAPPING)
    monkeypatch.setenv("SAP_URL", "http://127.0.0.1:1/sap/A")
    monkeypatch.setenv("SAP_MAPPING_FILE", str(mapping))
    monkeypatch.setenv("SAP_REFERENCE_PREFIX", "WEB-")

    def ask(document: Any, *options: str, file: str = str(order)) -> tuple[int, str, str]:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        order.write_bytes(content)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        try:
            code = cli.run(["preview", file, *options])
        except SystemExit as ended:
            code = int(str(ended.code))
        told = capsys.readouterr()
        return code, told.out, told.err

    return ask


def test_placed_order_is_shown_as_the_sales_order_that_it_becomes(ask: Ask) -> None:
    assert ask(PLACED) == (0, SHOWN, "")
    assert ask(PLACED, file="-") == (0, SHOWN, "")


def test_event_is_shown_as_json_that_would_be_posted(ask: Ask) -> None:
    event = an_event(OrderCreated.model_validate(PLACED))

    code, out, _ = ask(event.encode(), "--json")

    document = json.loads(out)
    assert code == 0
    assert document["SoldToParty"] == "17200009"
    assert [item["Material"] for item in document["to_Item"]] == ["TG11", "MAT-0004", "MAT-0042"]
    assert document["to_Text"][0]["LongText"] == "Daníel"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (PLACED | {"region": "south"}, "unmapped_region: sales_areas has neither south nor *"),
        (PLACED | {"order_number": "A" * 32}, "unusable_reference: 36 characters; SAP takes 35 of ASCII"),
        (PLACED | {"product_ids": []}, "undecodable: not an order: product_ids: "),
        ({"product_ids": [1]}, "undecodable: not an order: order_number: Field required"),
        ([], "undecodable: not an order: Input should be"),
        (b"{", "undecodable: not JSON"),
        ({"specversion": "1.0"}, "undecodable: "),
    ],
)
def test_order_that_would_be_parked_is_told_with_the_reason_and_1(ask: Ask, document: Any, reason: str) -> None:
    code, out, error = ask(document)

    assert (code, out) == (1, "")
    assert error.startswith(f"bus-sap: would be parked: {reason}")
    assert "Daníel" not in error


def test_terminal_without_the_names_letters_shows_their_codes(ask: Ask) -> None:
    document = json.dumps(PLACED | {"customer_name": "王"}).encode()
    command = [sys.executable, "-m", "sap_bridge", "preview", "-"]
    environ = os.environ | {"PYTHONIOENCODING": "latin-1"}

    shown = subprocess.run(command, input=document, env=environ, capture_output=True, check=True).stdout

    assert b"\\u738b" in shown


def test_what_cannot_be_read_is_2_and_wrong_configuration_78(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(PLACED, file="/nonexistent.json") == (2, "", "bus-sap: /nonexistent.json: No such file or directory\n")

    monkeypatch.setenv("SAP_MAPPING_FILE", "/nonexistent.yaml")
    code, _, error = ask(PLACED)
    assert code == 78
    assert error.startswith("configuration: /nonexistent.yaml: ")
