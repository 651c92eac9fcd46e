"""A customer's name as the slip prints it: legible in every script, nothing dropped, nothing reordered.

A character that no font has, and every invisible one that could reorder or hide its neighbours, is printed as its
code point in brackets, `[1F389]`.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from printer.glyphs import Coverage

CjkForm = Literal["SC", "TC", "HK", "JP", "KR"]

ZERO_WIDTH_SPACE = "\u200b"
_JOINERS = "\u200c\u200d\u2060"
_HARMLESS = frozenset(
    "\u00ad\u061c\u200b\u200e\u200f"  # soft hyphen, Arabic letter mark, zero-width space, LRM, RLM
    + _JOINERS
    + "".join(map(chr, range(0xFE00, 0xFE10)))  # variation selectors
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
"""Invisible characters that a name may need; fonts need no glyph for them."""
_SHOWN_AS_CODE_POINT = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
_MARKS_MAX = 6
"""Marks on one letter; more would be stacked across the lines above. Living scripts need four."""
_WHOLE_WORD_CLUSTERS_MAX = 18
"""Longer words may be broken: 18 × W are 85 mm at 14 pt, which fits the smallest paper."""
_WHOLE_WORD_CLUSTERS_MAX_THAI = 40
"""Thai has no spaces and is broken by dictionary, which a break inside a word disturbs; its letters are narrow."""
_BREAK_AFTER_CLUSTERS = 12
_HYPHENS = ("-", "\u2010")
_NO_BREAK_SPACES = "\u00a0\u2007\u202f"
_VIRAMA = 9
"""Canonical combining class of the signs that join two consonants into one."""


@dataclass(frozen=True, slots=True)
class PrintableName:
    """Text for the template: what to print, its base direction, and the form of its Chinese characters."""

    text: str
    direction: Literal["ltr", "rtl"]
    cjk: CjkForm


def printable(name: str, coverage: Coverage, cjk: CjkForm) -> PrintableName:
    """The name as it is printed. `cjk` is the form of Chinese characters in a name without kana or hangul."""
    name = unicodedata.normalize("NFC", name)
    text = "".join(_with_breaks([part for cluster in _clusters(name) for part in _shown(cluster, coverage)]))
    return PrintableName(text, _direction(name), _cjk_form(name, cjk))


def _clusters(text: str) -> Iterator[str]:
    """A letter with the marks, joiners and selectors after it."""
    cluster = ""
    for character in text:
        if cluster and not _extends(character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _extends(character: str) -> bool:
    # U+1160 to U+11FF are the second and third parts of a Korean syllable
    return unicodedata.category(character).startswith("M") or character in _JOINERS or "\u1160" <= character <= "\u11ff"


def _shown(cluster: str, coverage: Coverage) -> Iterator[str]:
    needing_glyphs = "".join(c for c in cluster if c not in _HARMLESS)
    if (
        len(cluster) <= 1 + _MARKS_MAX
        and not any(_is_hidden(c) for c in needing_glyphs)
        and coverage.one_family_has(needing_glyphs)
    ):
        yield cluster
        return
    letter = ""
    for index, character in enumerate(cluster):
        wanted = "".join(c for c in letter + character if c not in _HARMLESS)
        if index > _MARKS_MAX or _is_hidden(character) or not coverage.one_family_has(wanted):
            break
        letter += character
    if letter:
        yield letter
    for character in cluster[len(letter) :]:
        yield character if character in _HARMLESS else f"[{ord(character):04X}]"


def _is_hidden(character: str) -> bool:
    return character not in _HARMLESS and unicodedata.category(character) in _SHOWN_AS_CODE_POINT


def _with_breaks(parts: list[str]) -> Iterator[str]:
    """The parts with invisible places to break in words that are too long for a line."""
    for word in _words(parts):
        if sum(map(_length, word)) > _whole_word_max(word):
            yield from _broken(word)
        else:
            yield from word


def _words(parts: list[str]) -> Iterator[list[str]]:
    """What no line is broken in: parts between white space, Chinese characters and single hyphens."""
    word: list[str] = []
    for part, following in zip(parts, [*parts[1:], " "], strict=True):
        word.append(part)
        ends_by_hyphen = part in _HYPHENS and following[0].isalpha()
        if ends_by_hyphen or _breaks_by_itself(part) or _breaks_by_itself(following):
            yield word
            word = []
    if word:
        yield word


def _broken(word: list[str]) -> Iterator[str]:
    length, previous = 0, ""
    for part in word:
        # a break between joined letters is better than one off the page
        if length >= 2 * _BREAK_AFTER_CLUSTERS or (length >= _BREAK_AFTER_CLUSTERS and not _joins(previous)):
            yield ZERO_WIDTH_SPACE
            length = 0
        length += _length(part)
        previous = part
        yield part


def _length(part: str) -> int:
    """Width in letters: a code point in brackets is one part of several."""
    return len(part) if part.startswith("[") else 1


def _joins(part: str) -> bool:
    return part[-1] in _JOINERS or any(unicodedata.combining(c) == _VIRAMA for c in part)


def _breaks_by_itself(part: str) -> bool:
    first = part[0]
    if first.isspace():
        return first not in _NO_BREAK_SPACES
    return unicodedata.east_asian_width(first) in ("W", "F") and not _is_jamo(first)


def _whole_word_max(word: list[str]) -> int:
    is_thai = any("\u0e00" <= part[0] <= "\u0e7f" for part in word)
    return _WHOLE_WORD_CLUSTERS_MAX_THAI if is_thai else _WHOLE_WORD_CLUSTERS_MAX


def _is_jamo(character: str) -> bool:
    """Whether it is a part of a Korean syllable, of which any number may stand together unbroken."""
    return "\u1100" <= character <= "\u11ff"


def _direction(name: str) -> Literal["ltr", "rtl"]:
    """The base direction by the first strong character (UAX #9, P2 and P3)."""
    for character in name:
        match unicodedata.bidirectional(character):
            case "L":
                return "ltr"
            case "R" | "AL":
                return "rtl"
    return "ltr"


def _cjk_form(name: str, default: CjkForm) -> CjkForm:
    if any("\u3040" <= c <= "\u30ff" or "\uff66" <= c <= "\uff9f" for c in name):
        return "JP"
    if any("\uac00" <= c <= "\ud7a3" or "\u1100" <= c <= "\u11ff" or "\u3130" <= c <= "\u318f" for c in name):
        return "KR"
    return default
