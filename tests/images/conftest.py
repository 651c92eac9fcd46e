"""Images built once, everything started once; without an engine or images to build on, exit code 77."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from .engine import EXIT_MISSING, PROGRAMS, ROOT, Engine, MissingError, check_bases
from .stack import Stack

REPORT: list[str] = []
"""Lines to show at the end: what was measured."""


def pytest_sessionstart() -> None:
    """What is missing is said before anything is tried, and is not counted as passed."""
    try:
        check_bases(Engine())
    except MissingError as error:
        pytest.exit(str(error), returncode=EXIT_MISSING)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REPORT:
        terminalreporter.write_sep("-", "measured")
        terminalreporter.write("\n".join([*REPORT, ""]))


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="session")
def version(engine: Engine) -> str:
    """The version of the images, which are built by then."""
    environment = {**os.environ, "ENGINE": engine.name, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
    version = (
        os.environ.get("VERSION")
        or subprocess.run(
            [ROOT / "deploy/images/version"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    built = subprocess.run(
        [ROOT / "deploy/images/build"],
        env={**environment, "VERSION": version},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-4000:]
    return version


@pytest.fixture(scope="session")
def stack(engine: Engine, version: str) -> Iterator[Stack]:
    with Stack(engine, version) as running:
        yield running


@pytest.fixture(scope="session")
def report() -> list[str]:
    return REPORT
