"""A customer's name as it is printed."""

import unicodedata
from collections.abc import Iterable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from printer.glyphs import Coverage
from printer.names import ZERO_WIDTH_SPACE, CjkForm, printable

COVERAGE = Coverage.read()
WITHOUT_CJK = Coverage.read(cjk=False)


def printed(name: str, coverage: Coverage = COVERAGE) -> str:
    return printable(name, coverage, "SC").text


@pytest.mark.parametrize(
    "name",
    [
        "Daníel Þór Guðmundsdóttir-O’Brien",
        "محمد بن عبد الله",
        "王小明",
        "Анна Петрова",
        "דָּוִד בן־גוריון",
        "श्रीमती क्षिप्रा",
        "นางสาวกรุงเทพ ศรีสุวรรณ์",
        "山田 太郎(ヤマダ)",
        "김민수",
        "Γιώργος",
        "Nguyễn Thị Phượng",
        "m\u0331q\u0303",
        "★ Star & Söhne <b>*x*</b> #panic(1) \\ \"'",
        "नू\u200dर",
    ],
)
def test_name_in_a_known_script_is_printed_as_it_is(name: str) -> None:
    assert printed(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("Zoë 🎉", "Zoë [1F389]", id="no font has it"),
        pytest.param("\u202eevil", "[202E]evil", id="override"),
        pytest.param("a\u2066b\u2069", "a[2066]b[2069]", id="isolate"),
        pytest.param("a\u2028b", "a[2028]b", id="line separator"),
        pytest.param("a\ue000b", "a[E000]b", id="private use"),
        pytest.param("a\U000e0041", "a[E0041]", id="tag"),
        pytest.param("a\u0378b", "a[0378]b", id="unassigned"),
        pytest.param("ა", "[10D0]", id="script without font"),
        pytest.param("ש\u0303", "ש[0303]", id="mark of another font than its letter"),
        pytest.param("e\u0301\u0301", "é\u0301", id="composed"),
        pytest.param("x" + "\u0301" * 8, "x" + "\u0301" * 6 + "[0301][0301]", id="a tower of marks"),
    ],
)
def test_character_that_cannot_be_shown_is_printed_as_its_code_point(name: str, expected: str) -> None:
    assert printed(name) == expected


def test_without_the_cjk_font_chinese_is_printed_as_code_points() -> None:
    assert printed("王 Wang", WITHOUT_CJK) == "[738B] Wang"


@pytest.mark.parametrize(
    ("name", "direction"),
    [("Anna", "ltr"), ("محمد Smith", "rtl"), ("דוד", "rtl"), ("(42) דוד", "rtl"), ("A דוד", "ltr"), ("42 !", "ltr")],
)
def test_first_strong_character_gives_the_base_direction(name: str, direction: str) -> None:
    assert printable(name, COVERAGE, "SC").direction == direction


@pytest.mark.parametrize(
    ("name", "default", "form"),
    [
        ("王", "SC", "SC"),
        ("王", "TC", "TC"),
        ("山田 ヤマダ", "SC", "JP"),
        ("山田ﾀﾛｳ", "SC", "JP"),
        ("김 王", "SC", "KR"),
    ],
)
def test_kana_and_hangul_give_the_form_of_chinese_characters(name: str, default: CjkForm, form: CjkForm) -> None:
    assert form in get_args(CjkForm)
    assert printable(name, COVERAGE, default).cjk == form


@pytest.mark.parametrize(
    ("name", "breaks"),
    [
        pytest.param("W" * 18, 0, id="fits a line"),
        pytest.param("W" * 200, 16, id="200 letters"),
        pytest.param("W\u00a0" * 100, 16, id="no-break spaces do not end a word"),
        pytest.param("e\u0301\u0302" * 66, 5, id="a mark stays with its letter"),
        pytest.param("क्" * 100, 4, id="joined letters, broken where they must be"),
        pytest.param("王" * 200, 0, id="Chinese breaks anywhere"),
        pytest.param("Anna-" * 40, 0, id="hyphens"),
        pytest.param("-" * 200, 16, id="a line of hyphens"),
        pytest.param("Anna " * 40, 0, id="many words"),
    ],
)
def test_word_longer_than_a_line_gets_places_to_break(name: str, breaks: int) -> None:
    assert printed(name).count(ZERO_WIDTH_SPACE) == breaks


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200))
def test_nothing_is_dropped_whatever_the_name(name: str) -> None:
    """Each character is there, in its place, as itself or as its code point; every one has a glyph."""
    rest = printed(name)
    for character in unicodedata.normalize("NFC", name):
        rest = rest.removeprefix(ZERO_WIDTH_SPACE) if not rest.startswith(character) else rest
        shown = next((s for s in (character, f"[{ord(character):04X}]") if rest.startswith(s)), None)
        assert shown is not None, f"U+{ord(character):04X} is missing before {rest!r}"
        rest = rest[len(shown) :]
    assert rest.strip(ZERO_WIDTH_SPACE) == ""
    assert all(COVERAGE.one_family_has(character) for character in _visible(printed(name)))


def _visible(text: str) -> Iterable[str]:
    return (c for c in text if unicodedata.category(c) != "Cf" and not unicodedata.name(c, "").startswith("VARIATION"))
