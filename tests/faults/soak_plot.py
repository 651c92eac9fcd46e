"""Draws the series of a soak, a panel for each group, into one small PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from .soak_series import Series, matching

MB = 1_000_000
_COLUMNS = 2
_PANEL_INCHES = (6.2, 2.7)
_DPI = 80
_COLOURS = 64
LEGEND_MAX = 12

Panel = tuple[str, tuple[str, ...], float]
"""Title, prefixes of the series in it, and what a value is divided by."""


def draw(series: Mapping[str, Series], panels: Sequence[Panel], title: str, file: Path) -> None:
    """Write the plot. A panel without series is left out."""
    filled = [(name, found, unit) for name, prefixes, unit in panels if (found := matching(series, prefixes))]
    rows = -(-len(filled) // _COLUMNS)
    with mpl.rc_context({"font.size": 7, "axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 1.0}):
        figure = Figure(figsize=(_PANEL_INCHES[0] * _COLUMNS, _PANEL_INCHES[1] * rows), dpi=_DPI, layout="constrained")
        figure.suptitle(title)
        for place, (name, found, unit) in enumerate(filled, 1):
            axes = figure.add_subplot(rows, _COLUMNS, place)
            colours = (*mpl.colormaps["tab10"].colors, *mpl.colormaps["Dark2"].colors)  # type: ignore[attr-defined] # a listed colour map
            ordered = sorted(found, key=lambda one: -max(one.values))
            for number, one in enumerate(ordered):
                label = _label(one.name) if number < LEGEND_MAX else None
                minutes = [second / 60 for second in one.seconds]
                axes.plot(minutes, [v / unit for v in one.values], label=label, color=colours[number % len(colours)])
            axes.set_title(name)
            axes.set_xlabel("minutes")
            axes.set_ylim(bottom=0)
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        figure.savefig(file)
    with Image.open(file) as image:
        image.convert("RGB").quantize(_COLOURS).save(file, optimize=True)  # lines need few colours: a third of the size


def _label(name: str) -> str:
    return name.split(".", 1)[1].removeprefix("queue.")
