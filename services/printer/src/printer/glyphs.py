"""The fonts of the slip: where they are, and which characters they can print."""

import importlib.util
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path

FONTS = Path(__file__).parent / "fonts"
CJK_PACKAGE = "noto_cjk_sans_otc"
CJK_FAMILY = "Noto Sans CJK"


def cjk_fonts() -> Path | None:
    """The folder of the Chinese, Japanese and Korean font, or None where its package is not installed."""
    spec = importlib.util.find_spec(CJK_PACKAGE)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


class Coverage:
    """The code points that each family of fonts has a glyph for."""

    def __init__(self, families: Mapping[str, Iterable[tuple[int, int]]]) -> None:
        self._families = [sorted(ranges) for ranges in families.values()]
        self._starts = [[first for first, _ in ranges] for ranges in self._families]

    @classmethod
    def read(cls, path: Path = FONTS / "coverage.txt", *, cjk: bool = True) -> "Coverage":
        """The coverage that `fonts_coverage.py` wrote; without `cjk` as if that family were not there."""
        families: dict[str, list[tuple[int, int]]] = {}
        ranges: list[tuple[int, int]] = []
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith("["):
                ranges = families.setdefault(line.strip("[]"), [])
            elif not line.startswith("#"):
                first, _, last = line.partition("-")
                ranges.append((int(first, 16), int(last, 16)))
        if not cjk:
            families.pop(CJK_FAMILY)
        return cls(families)

    def one_family_has(self, characters: str) -> bool:
        """Whether one family has all of them: a mark is placed on its letter only within one font."""
        return any(all(self._has(index, ord(c)) for c in characters) for index in range(len(self._families)))

    def _has(self, family: int, point: int) -> bool:
        index = bisect_right(self._starts[family], point) - 1
        return index >= 0 and point <= self._families[family][index][1]
