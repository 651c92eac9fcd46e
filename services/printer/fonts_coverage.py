"""Writes `coverage.txt` and `SHA256SUMS` of the slip's fonts. Run it after a change of the fonts.

Reading the fonts' own tables takes fontTools (45 MiB, 0.4 s), which the service itself does without:
`pip install -e '.[fonts]'` installs it, `python fonts_coverage.py` writes both files.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from fontTools.ttLib import TTCollection, TTFont
from noto_cjk_sans_otc import FONT_PATH as CJK_PATH

FONTS = Path(__file__).parent / "src" / "printer" / "fonts"
CJK_FAMILY = "Noto Sans CJK"
CHECKED = ("*.ttf", "OFL.txt", "coverage.txt")


def main() -> None:
    coverage: dict[str, set[int]] = {}
    for path in sorted(FONTS.glob("*.ttf")):
        with TTFont(path, lazy=True) as font:
            _intersect(coverage, font["name"].getBestFamilyName(), font.getBestCmap())
    with TTCollection(str(CJK_PATH), lazy=True) as collection:
        for font in collection:
            _intersect(coverage, CJK_FAMILY, font.getBestCmap())
    lines = ["# Code points that each family of fonts has in all its weights; written by fonts_coverage.py"]
    for family, points in coverage.items():
        lines += [f"[{family}]", *(f"{first:X}-{last:X}" for first, last in _ranges(points))]
    (FONTS / "coverage.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    files = sorted(path for pattern in CHECKED for path in FONTS.glob(pattern))
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (FONTS / "SHA256SUMS").write_text("".join(sums), encoding="ascii")


def _intersect(coverage: dict[str, set[int]], family: str, points: Iterable[int]) -> None:
    coverage[family] = coverage[family] & set(points) if family in coverage else set(points)


def _ranges(points: set[int]) -> Iterator[tuple[int, int]]:
    first = last = -2
    for point in sorted(points):
        if point != last + 1:
            if first >= 0:
                yield first, last
            first = point
        last = point
    yield first, last


if __name__ == "__main__":
    main()
