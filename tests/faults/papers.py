"""What scenarios of the printer share: its load, and that nobody gets a second paper."""

from collections import Counter

from printer.testing.ippeveprinter import IppEvePrinter

from .conftest import Run

RATE = 4.0
"""ippeveprinter takes one job at a time, and the department looks every 2 s whether it is done."""
PAUSED = 'bus_paused{department="printer"}'


def paper_of(run: Run) -> IppEvePrinter:
    assert run.shop.paper is not None
    return run.shop.paper


def assert_one_paper_or_asked(run: Run, *words: str) -> list[str]:
    """None has two papers, also not of those for which a person is asked, in one of these words; who they are."""
    found = run.assert_kept(shows=True)
    assert not found.possible_duplicates
    papers = Counter(run.shop.papers())
    assert [n for n in run.customers.numbers if papers[n] > 1] == []
    assert [line for line in found.attention if not any(word in line for word in words)] == []
    return [line.partition(":")[0] for line in found.attention]
