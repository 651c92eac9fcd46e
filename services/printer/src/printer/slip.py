"""The packing slip of an order as PDF, set by typst from `slip.typ`."""

import json
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import typst
from eventbus.contract import OrderCreated

from printer import barcodes
from printer.copies import Reprint
from printer.glyphs import CJK_FAMILY, FONTS, Coverage, cjk_fonts
from printer.names import CjkForm, printable
from printer.papers import Paper

TEMPLATE = Path(__file__).parent / "slip.typ"
WATERMARK = "REPRINT"
FAMILIES = ("Noto Sans", "Noto Sans Hebrew", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai")
SYMBOL_FAMILIES = ("Noto Sans Symbols", "Noto Sans Symbols2")


class SlipMaker:
    """Makes slips: the same order, paper and note give the same bytes, in every process.

    Not thread-safe, like typst's compiler ("Already borrowed"). A slip takes about 5 ms of CPU, one of 500 lines
    about 50 ms, during which other native threads run.
    """

    def __init__(self, paper: Paper, cjk: CjkForm = "SC", zone: ZoneInfo | None = None) -> None:
        folder = cjk_fonts()
        self.has_cjk = folder is not None
        self._paper = paper
        self._cjk = cjk
        self._zone = zone or ZoneInfo("UTC")
        self._coverage = Coverage.read(cjk=self.has_cjk)
        fonts = typst.Fonts(
            include_system_fonts=False,
            include_embedded_fonts=False,
            font_paths=[str(FONTS), *([str(folder)] if folder else [])],
        )
        self._compiler = typst.Compiler(str(TEMPLATE), root=str(TEMPLATE.parent), font_paths=fonts)

    def render(self, order: OrderCreated, note: str | None = None, reprint: Reprint | None = None) -> bytes:
        """The slip as PDF. `note` stands above the name: what is special about this copy. A reprint says so across
        the page, and when and why it was asked for."""
        pdf = self._compiler.compile(
            format="pdf",
            sys_inputs={"slip": json.dumps(self._data(order, note, reprint))},
            timestamp=0,  # in the file; with the present time no two renderings would be equal
            pdf_tags=False,
        )
        return cast(bytes, pdf)

    def _data(self, order: OrderCreated, note: str | None, reprint: Reprint | None) -> dict[str, Any]:
        quantities = Counter(order.product_ids)  # keeps the order of first appearance
        pieces = _counted(len(order.product_ids), "piece")
        number, paper = order.order_number, self._paper
        code128 = barcodes.code128(number, width_mm_max=paper.code128_mm_max, height_mm=paper.code128_height_mm)
        notes = [_at_reprint(reprint, self._zone)] if reprint else []
        return {
            "paper": asdict(paper),
            "fonts": [FAMILIES[0]],
            "order_number": number,
            "number_pt": paper.number_pt * min(1, paper.number_characters / len(number)),
            "code128": asdict(code128),
            "qr": asdict(barcodes.qr_code(number, width_mm_max=paper.qr_mm_max)),
            "watermark": WATERMARK if reprint else None,
            "notes": [self._text(text) for text in [*notes, *([note] if note else [])]],
            "name": self._text(order.customer_name),
            "region": order.region,
            "ordered_at": _local(order.created_at, self._zone),
            "total": f"{_counted(len(quantities), 'line')}, {pieces}",
            "pieces": pieces,
            # as text: a product id may need 53 bits, more than a JSON reader in between must keep
            "lines": [{"product": str(product), "quantity": str(n)} for product, n in quantities.items()],
        }

    def _text(self, text: str) -> dict[str, Any]:
        """What somebody wrote, in any script."""
        shown = printable(text, self._coverage, self._cjk)
        return {"text": shown.text, "direction": shown.direction, "fonts": self._fonts(shown.cjk)}

    def _fonts(self, cjk: CjkForm) -> list[str]:
        return [*FAMILIES, *([f"{CJK_FAMILY} {cjk}"] if self.has_cjk else []), *SYMBOL_FAMILIES]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def _at_reprint(reprint: Reprint, zone: ZoneInfo) -> str:
    return f"Reprint of {_local(reprint.asked_at, zone)}: {reprint.reason}"
