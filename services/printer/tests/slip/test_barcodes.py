"""Bar codes: widths in whole printer dots, and read back from the rendered page."""

from collections.abc import Callable
from typing import Any

import pytest
from eventbus.testing.builders import A_MOMENT
from printer.barcodes import DOT_MM, code128, qr_code
from printer.copies import Reprint
from printer.papers import PAPERS

NUMBER = "7KQ2-M9XD-4TWE"
LONGEST = "abcdefgh-IJKLMNOP-0123456789-abcdef"
A_REPRINT = Reprint(2, "torn", A_MOMENT)


def test_code128_of_an_order_number_is_three_dots_a_module() -> None:
    symbol = code128(NUMBER, width_mm_max=150, height_mm=15)
    assert symbol.width_mm == pytest.approx(209 * 3 * DOT_MM)  # 189 modules and twice 10 of quiet zone: 78.4 mm


def test_qr_code_of_an_order_number_is_six_dots_a_module() -> None:
    assert qr_code(NUMBER, width_mm_max=21.8).width_mm == pytest.approx(29 * 6 * DOT_MM)


@pytest.mark.parametrize("width_mm", [60, 80, 120, 160])
def test_long_code_in_little_room_is_made_of_fewer_whole_dots(width_mm: float) -> None:
    symbol = code128(LONGEST, width_mm_max=width_mm, height_mm=15)
    modules = int(symbol.svg.partition('width="')[2].partition('"')[0])
    assert symbol.width_mm <= width_mm
    dots = symbol.width_mm / DOT_MM / modules
    assert dots == pytest.approx(round(dots))


def test_code_without_room_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"209 modules does not fit in 10 mm"):
        code128(NUMBER, width_mm_max=10, height_mm=15)


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize(
    ("dpi", "one_bit", "reprint"),
    [(203, True, None), (203, True, A_REPRINT), (300, False, None)],
    ids=["203 dpi, 1 bit", "203 dpi, 1 bit, reprint", "300 dpi, gray"],
)
def test_scanner_reads_the_order_number_back_from_every_page(
    make_slip: Callable[..., Any], paper: str, dpi: int, one_bit: bool, reprint: Reprint | None
) -> None:
    slip = make_slip(paper, order_number=NUMBER, product_ids=range(1, 41), reprint=reprint)
    for page, _ in enumerate(slip.pages(), start=1):
        assert slip.scanned(page, dpi, one_bit=one_bit) == {f"CODE-128:{NUMBER}", f"QR-Code:{NUMBER}"}, page


@pytest.mark.parametrize(("paper", "kinds"), [("a4", ("CODE-128", "QR-Code")), ("label", ("QR-Code",))])
def test_scanner_reads_the_longest_order_number(
    make_slip: Callable[..., Any], paper: str, kinds: tuple[str, ...]
) -> None:
    """A label is too narrow for its bar code to have more than one dot a module."""
    scanned = make_slip(paper, order_number=LONGEST).scanned(1, 203, one_bit=True)
    assert {f"{kind}:{LONGEST}" for kind in kinds} <= scanned
