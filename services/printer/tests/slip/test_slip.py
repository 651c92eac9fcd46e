"""The packing slip: what stands on it, and how it looks."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing.builders import an_order
from PIL import Image, ImageChops
from printer.copies import Reprint
from printer.papers import PAPERS
from printer.slip import SlipMaker

GOLDEN = Path(__file__).parent / "golden"
NAMES = {
    "latin": "Daníel Þór Guðmundsdóttir-O’Brien",
    "arabic": "محمد بن عبد الله الفارسي",
    "chinese": "王小明",
    "cyrillic": "Анна Петрова-Сидоренко",
    "greek": "Γιώργος Παπαδόπουλος",
    "hebrew": "דָּוִד בן־גוריון",
    "devanagari": "श्रीमती क्षिप्रा त्रिपाठी",
    "thai": "นางสาวกรุงเทพ ศรีสุวรรณ์",
    "japanese": "山田 太郎(ヤマダ)",
    "korean": "김민수",
    "emoji": "Zoë 🎉",
    "mixed": "محمد Smith 42 🎉",
}
NAME_DPI = 100
NAME_BOXES = {"a4": (50, 205, 500, 275), "label": (0, 120, 400, 260)}
"""Where the name and what stands around it are at 100 dpi."""
LINES_MIN = {"a4": 20, "letter": 18, "label": 13}
"""So many lines there are on every page but the last."""
LETTERS = (
    "W",
    "محمد",
    "王",
    "Щ",
    "ש",
    "क्षत्रिय",
    "ก",
    "ヤ",
    "한",
    "ᄀ",
    "🎉",
    "★",
    "W\u00a0",
    "m\u0331",
    "\u202ea",
    "Ω",
)

Make = Callable[..., Any]


def test_slip_tells_number_region_time_and_each_product_with_its_quantity(make_slip: Make) -> None:
    text = make_slip(order_number="7KQ2-M9XD-4TWE", product_ids=(42, 7, 42, 9007199254740991, 42)).text()
    assert "7KQ2-M9XD-4TWE" in text
    assert "Daníel" in text
    assert re.search(r"Region north\s+ordered 2026-11-24 07:19 UTC\s+3 lines, 5 pieces", text)
    rows = re.findall(r"^ *(\d+) +(\d+) +(\d+) *$", text, re.MULTILINE)
    assert rows == [("1", "42", "3"), ("2", "7", "1"), ("3", "9007199254740991", "1")]
    assert "End of slip: 5 pieces" in text
    assert "page 1 of 1" in text


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("lines", [1, 13, 14, 23, 24, 27, 28, 500])
def test_every_line_of_a_long_slip_is_there_under_a_repeated_header(make_slip: Make, paper: str, lines: int) -> None:
    slip = make_slip(paper, order_number="7KQ2-M9XD-4TWE", product_ids=range(10**15, 10**15 + lines))
    pages = slip.pages()
    assert re.findall(r"\b1\d{15}\b", slip.text()) == [str(10**15 + n) for n in range(lines)]
    for number, page in enumerate(pages, start=1):
        assert f"page {number} of {len(pages)}" in page
        assert page.count("7KQ2-M9XD-4TWE") == 2, "header and footer"
        assert "Quantity" in page
        assert re.search(r"\b1\d{15}\b", page), "no page without a product"
    assert len(pages) <= lines // LINES_MIN[paper] + 1
    assert "End of slip" in pages[-1]


def test_one_line_and_one_piece_are_named_in_the_singular(make_slip: Make) -> None:
    assert "1 line, 1 piece\n" in make_slip(product_ids=(1,)).text()


def test_note_stands_above_the_name(make_slip: Make) -> None:
    text = make_slip(note="2nd print: first was aborted", customer_name="Anna").text()
    assert text.index("2nd print: first was aborted") < text.index("Anna")


def test_markup_in_a_name_is_printed_not_obeyed(make_slip: Make) -> None:
    name = '#panic("x") *b* _i_ <b> $x$ \\ [c] `d` @e // f'
    assert name in make_slip(customer_name=name).text()


@pytest.mark.parametrize("paper", PAPERS)
def test_all_fonts_are_embedded_as_subsets(make_slip: Make, paper: str) -> None:
    fonts = make_slip(paper, customer_name="".join(NAMES.values())).fonts()
    assert len(fonts) >= 7
    assert all(font[-5:-3] == ["yes", "yes"] for font in fonts)


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("letters", LETTERS)
def test_name_of_two_hundred_characters_in_any_script_stays_inside_the_page(
    make_slip: Make, paper: str, letters: str
) -> None:
    """It leaves room for the lines under it, too."""
    slip = make_slip(paper, customer_name=(letters * 200)[:200], product_ids=(1,))
    image = slip.image(dpi=50)
    margin = int((PAPERS[paper].margin_mm - 1) / 25.4 * 50)
    for edge in ((0, 0, margin, image.height), (image.width - margin, 0, image.width, image.height)):
        assert image.crop(edge).getextrema() == (255, 255)
    assert len(slip.pages()) == 1


@pytest.mark.parametrize("paper", NAME_BOXES)
@pytest.mark.parametrize("script", NAMES)
def test_name_looks_as_in_its_golden_picture(make_slip: Make, script: str, paper: str, tmp_path: Path) -> None:
    """The pictures were looked at. To renew one: copy the picture that the message names, and look at it."""
    slip = make_slip(paper, customer_name=NAMES[script], order_number="7KQ2-M9XD-4TWE")
    image = slip.image(dpi=NAME_DPI).crop(NAME_BOXES[paper])
    actual = tmp_path / f"{paper}-{script}.png"
    image.save(actual)
    with Image.open(GOLDEN / actual.name) as golden:
        assert golden.size == image.size
        differing = sum(ImageChops.difference(golden, image).point(lambda value: value > 96).histogram()[1:])
    assert differing <= 20, f"{differing} points differ, see {actual}"


@pytest.mark.parametrize("paper", PAPERS)
def test_reprint_says_so_across_the_page_and_when_and_why(make_slip: Make, paper: str) -> None:
    asked_at = datetime(2026, 11, 24, 10, 12, tzinfo=UTC)
    slip = make_slip(paper, reprint=Reprint(2, "zerrissen 🎉 #x", asked_at), product_ids=range(1, 41))
    assert "Reprint of 2026-11-24 10:12 UTC: zerrissen [1F389] #x" in " ".join(slip.pages()[0].split())
    for number, _ in enumerate(slip.pages(), start=1):
        grey = slip.image(number).histogram()[224]  # luma(88%)
        assert grey > 1000, "the watermark is light grey"


def test_same_order_gives_the_same_bytes_in_another_process(makers: dict[str, SlipMaker]) -> None:
    order = an_order(customer_name="محمد 王 Anna", product_ids=range(1, 60))
    program = (
        "import sys; from eventbus.contract import OrderCreated; from printer.papers import PAPERS; "
        "from printer.slip import SlipMaker; "
        "order = OrderCreated.model_validate_json(sys.stdin.buffer.read()); "
        "[sys.stdout.buffer.write(SlipMaker(paper).render(order)) for paper in PAPERS.values()]"
    )
    other = subprocess.run([sys.executable, "-c", program], input=order.model_dump_json().encode(), capture_output=True)
    ours = [b"".join(maker.render(order) for maker in makers.values()) for _ in range(2)]
    assert other.stdout == ours[0] == ours[1]


def test_one_page_is_less_than_sixty_kilobytes(make_slip: Make) -> None:
    for name in NAMES.values():
        assert len(make_slip(customer_name=name).pdf) < 60_000


def test_fonts_are_those_that_the_sums_say(tmp_path: Path) -> None:
    from printer.glyphs import FONTS

    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=FONTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
