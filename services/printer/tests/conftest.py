"""The maker of slips, made once."""

import pytest
from printer.papers import PAPERS
from printer.slip import SlipMaker


@pytest.fixture(scope="session")
def makers() -> dict[str, SlipMaker]:
    """A maker of slips for each paper."""
    return {name: SlipMaker(paper) for name, paper in PAPERS.items()}
