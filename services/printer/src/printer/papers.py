"""The papers that a slip may be printed on, as data: a new paper is a new row."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


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
    """Size of the order number; a number of more than 18 characters is set smaller."""
    code128_mm_max: float
    """Room for the bar code beside the QR code."""
    code128_height_mm: float
    qr_mm_max: float


PAPERS: Mapping[str, Paper] = MappingProxyType(
    {
        "a4": Paper("iso_a4_210x297mm", 210, 297, 15, 45, 15, 8, 26, 150, 15, 21.8),
        "letter": Paper("na_letter_8.5x11in", 215.9, 279.4, 15, 45, 15, 8, 26, 150, 15, 21.8),
    }
)
