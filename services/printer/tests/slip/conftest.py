"""Slips that can be read back, by eye, by text and by scanner."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing.builders import an_order
from PIL import Image
from printer.copies import Reprint
from printer.slip import SlipMaker


def run(*command: str | Path) -> str:
    """What the command prints; AssertionError where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Slip:
    """A slip, as a warehouse would see it."""

    def __init__(self, pdf: bytes, path: Path) -> None:
        self.pdf = pdf
        self.path = path
        path.write_bytes(pdf)

    def text(self) -> str:
        """What stands on all pages."""
        return run("pdftotext", "-layout", self.path, "-")

    def pages(self) -> list[str]:
        """What stands on each page."""
        return self.text().split("\f")[:-1]

    def fonts(self) -> list[list[str]]:
        """The columns of `pdffonts` after the name: …, embedded, subset, unicode, object and generation."""
        return [line.split() for line in run("pdffonts", self.path).splitlines()[2:]]

    def image(self, page: int = 1, dpi: int = 100, *, one_bit: bool = False) -> Image.Image:
        """The page as it is printed; `one_bit` black or white, as label printers do."""
        with Image.open(self._image_file(page, dpi, one_bit)) as image:
            return image.convert("L")

    def scanned(self, page: int, dpi: int, *, one_bit: bool = False) -> set[str]:
        """What a scanner reads on the upper 90 mm of the page: `CODE-128:…`, `QR-Code:…`."""
        upper = ("-H", str(90 * dpi // 25))
        return set(run("zbarimg", "--quiet", self._image_file(page, dpi, one_bit, *upper)).split())

    def _image_file(self, page: int, dpi: int, one_bit: bool, *more: str) -> Path:
        target = self.path.with_suffix(f".{page}.{dpi}.{one_bit}")
        mode = ("-mono",) if one_bit else ("-png",)
        run(
            "pdftoppm", *mode, *more, "-r", str(dpi), "-f", str(page), "-l", str(page), "-singlefile", self.path, target
        )
        return Path(f"{target}.{'pbm' if one_bit else 'png'}")


@pytest.fixture
def make_slip(makers: dict[str, SlipMaker], tmp_path: Path) -> Callable[..., Slip]:
    """Makes the slip of `an_order(**fields)`."""

    def make(paper: str = "a4", note: str | None = None, reprint: Reprint | None = None, **fields: Any) -> Slip:
        return Slip(makers[paper].render(an_order(**fields), note, reprint), tmp_path / "slip.pdf")

    return make
