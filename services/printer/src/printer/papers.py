"""The papers that a slip may be printed on, as data: a new paper is a new row."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Columns:
    """Start and width of the columns of a line, in mm from the margin."""

    position_mm: float
    """Width; it starts at the margin."""
    product_mm: tuple[float, float]
    quantity_mm: tuple[float, float]
    tick_mm: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Paper:
    """Sizes in mm."""

    media: str
    """Name of the paper to an IPP printer (PWG 5101.1)."""
    width_mm: float
    height_mm: float
    margin_mm: float
    """Left, right and top: printers leave about 4 mm of an edge white."""
    header_mm: float
    """Height of what stands on every page above the lines."""
    footer_mm: float
    row_mm: float
    number_pt: float
    """Size of the order number."""
    number_characters: int
    """A number of more characters is set smaller."""
    code128_at_mm: float
    """Where the bar code begins, below the top of the header."""
    code128_mm_max: float
    """Room for the bar code beside the QR code."""
    code128_height_mm: float
    qr_mm_max: float
    name_mm_max: float
    """Height that a name may have: one that needs more is set smaller."""
    watermark_pt: float
    columns: Columns


_SHEET = Columns(position_mm=12, product_mm=(18, 85), quantity_mm=(105, 25), tick_mm=(150, 20))
_LABEL = Columns(position_mm=7, product_mm=(10, 45), quantity_mm=(54, 18), tick_mm=(75, 16))

# 3 dots a module of Code 128 on sheets, 2 on labels, 6 of the QR code: all 3 papers fit an order number of our own
PAPERS: Mapping[str, Paper] = MappingProxyType(
    {
        "a4": Paper("iso_a4_210x297mm", 210, 297, 15, 45, 15, 8, 26, 18, 19, 150, 15, 21.8, 60, 96, _SHEET),
        "letter": Paper("na_letter_8.5x11in", 215.9, 279.4, 15, 45, 15, 8, 26, 18, 19, 150, 15, 21.8, 60, 96, _SHEET),
        "label": Paper("na_index-4x6_4x6in", 101.6, 152.4, 5, 33, 9, 6.4, 17, 14, 13, 72.8, 12, 21.8, 22, 48, _LABEL),
    }
)

SIZE = re.compile(r"_(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(mm|in)$")
"""How the name of a paper ends (PWG 5101.1, self-describing)."""
LIMITS = ("custom_min", "custom_max", "roll_")
"""How names begin that are no paper but what a printer can take at least or at most."""
MM = {"mm": 1.0, "in": 25.4}
SIZE_DIFFERS_MM_MAX = 0.5


def media_named(media: str, supported: Collection[str]) -> str | None:
    """The printer's own name for the paper: the same, or the first one of its size; None where it has no such paper."""
    if media in supported:
        return media
    wanted = _size_mm(media)
    return next((name for name in supported if not name.startswith(LIMITS) and _is_alike(_size_mm(name), wanted)), None)


def _size_mm(media: str) -> tuple[float, float] | None:
    if (found := SIZE.search(media)) is None:
        return None
    width, height, unit = found.groups()
    return float(width) * MM[unit], float(height) * MM[unit]


def _is_alike(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    if one is None or other is None:
        return False
    return all(abs(a - b) <= SIZE_DIFFERS_MM_MAX for a, b in zip(one, other, strict=True))
