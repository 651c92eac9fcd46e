"""Code 128 and QR code of an order number, each as an SVG of one path.

The width of a module is a whole number of printer dots at 203 dpi, the coarsest printers of a warehouse: edges that
fall between dots make modules of unequal width, which scanners refuse.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import segno
from barcode.codex import Code128

DOT_MM = 25.4 / 203
CODE128_DOTS_MAX = 3
CODE128_QUIET_MODULES = 10
"""On each side (ISO/IEC 15417)."""
QR_DOTS_MAX = 6
QR_QUIET_MODULES = 4
"""On each side (ISO/IEC 18004)."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A bar code to draw: its SVG, and the size in mm that gives whole dots, quiet zone included."""

    svg: str
    width_mm: float
    height_mm: float
    quiet_mm: float
    """Width of the quiet zone on each side."""


def code128(text: str, *, width_mm_max: float, height_mm: float) -> Symbol:
    """The bar code of printable ASCII text, three dots a module, fewer where that is wider than `width_mm_max`.

    Raises ValueError when even one dot a module is too wide.
    """
    modules = cast(str, Code128(text).build()[0])
    count = len(modules) + 2 * CODE128_QUIET_MODULES
    dots = _dots(count, width_mm_max, CODE128_DOTS_MAX)
    path = "".join(f"M{CODE128_QUIET_MODULES + start} 0h{length}v1h-{length}z" for start, length in _runs(modules))
    module_mm = dots * DOT_MM
    return Symbol(_svg(count, 1, path), count * module_mm, height_mm, CODE128_QUIET_MODULES * module_mm)


def qr_code(text: str, *, width_mm_max: float) -> Symbol:
    """The QR code of the text, error correction M (15 % may be dirty), six dots a module or fewer to fit.

    Raises ValueError when even one dot a module is too wide.
    """
    rows = list(segno.make_qr(text, error="m", boost_error=False).matrix)
    count = len(rows) + 2 * QR_QUIET_MODULES
    module_mm = _dots(count, width_mm_max, QR_DOTS_MAX) * DOT_MM
    path = "".join(
        f"M{QR_QUIET_MODULES + start} {QR_QUIET_MODULES + y}h{length}v1h-{length}z"
        for y, row in enumerate(rows)
        for start, length in _runs("1" if dark else "0" for dark in row)
    )
    size_mm = count * module_mm
    return Symbol(_svg(count, count, path), size_mm, size_mm, QR_QUIET_MODULES * module_mm)


def _dots(modules: int, width_mm_max: float, dots_max: int) -> int:
    dots = min(dots_max, int((width_mm_max + 1e-6) / (modules * DOT_MM)))
    if dots < 1:
        raise ValueError(f"a bar code of {modules} modules does not fit in {width_mm_max} mm")
    return dots


def _runs(modules: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of dark modules."""
    position = 0
    for module, run in groupby(modules):
        length = sum(1 for _ in run)
        if module == "1":
            yield position, length
        position += length


def _svg(width: int, height: int, path: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><path d="{path}"/></svg>'
    )
