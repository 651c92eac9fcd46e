"""Shows that the fault suite can fail: applies each patch in `mutants/` to a copy of the project and expects red.

`python -m tests.faults.mutants [word]` takes the patches whose names hold the word. A patch begins with

    Breaks: what the breakage is, one line
    Caught by: test_departments_killed.py -k killed_at
    Runs: 3

The same tests run on an unbroken copy, too: red there would prove nothing. Exit code 1 where a breakage survives.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree  # of a file that pytest wrote
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .table import write_between

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent / "mutants"
AT_ONCE = 2
DEADLINE_S = 900
_HEADER = re.compile(r"^Breaks: (?P<what>.+)\nCaught by: (?P<tests>.+)\nRuns: (?P<runs>\d+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """A breakage. `tests` are arguments for pytest, relative to this folder."""

    name: str
    what: str
    tests: str
    runs: int
    patch: Path | None


@dataclass(frozen=True)
class Verdict:
    """What the tests said: how many ran and failed, and the first failure."""

    ran: int
    failed: int
    errors: int
    first: str

    @property
    def is_caught(self) -> bool:
        """Red in a test itself: a shop that did not start proves nothing."""
        return self.failed > 0 and self.errors == 0


def read_mutants(word: str = "") -> list[Mutant]:
    """Every patch whose name holds that word. Raises ValueError for one without its header."""
    found = []
    for patch in sorted(PATCHES.glob("*.patch")):
        if (header := _HEADER.search(patch.read_text())) is None:
            raise ValueError(f"{patch}: expected the lines Breaks:, Caught by: and Runs: at its beginning")
        if word in patch.stem:
            found.append(Mutant(patch.stem, header["what"], header["tests"], int(header["runs"]), patch))
    return found


@contextmanager
def copy_of_project(patch: Path | None) -> Iterator[Path]:
    """A copy of the files that git knows, with that patch; gone afterwards."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="order-bus-mutant-") as name:
        copy = Path(name)
        for file in filter(None, listed.split("\0")):
            if (ROOT / file).exists():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, copy / file)
        if patch is not None:
            subprocess.run(["git", "apply", patch], cwd=copy, check=True)
        yield copy


def try_out(mutant: Mutant) -> Verdict:
    """Run its tests in a copy that has the breakage."""
    with copy_of_project(mutant.patch) as copy:
        sources = [str(path) for path in sorted(copy.glob("**/src")) if path.parent.joinpath("pyproject.toml").exists()]
        report = copy / "report.xml"
        file, *rest = mutant.tests.split(maxsplit=1)
        selected = ["-k", rest[0].removeprefix("-k ").strip('"')] if rest else []
        with (copy / "output").open("w") as output:
            subprocess.run(
                [
                    *(sys.executable, "-m", "pytest", f"tests/faults/{file}", *selected, "-x", "-q"),
                    *("--timeout", "600", "--runs", str(mutant.runs), f"--junitxml={report}"),
                ],
                cwd=copy,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=DEADLINE_S,
                check=False,
            )
        if not report.exists():
            return Verdict(0, 0, 1, (copy / "output").read_text()[-500:])
        return _read(report)


def _read(report: Path) -> Verdict:
    suite = next(ElementTree.parse(report).iter("testsuite"))  # noqa: S314 - see the import
    first = ""
    for case in suite.iter("testcase"):
        for fault in (*case.findall("failure"), *case.findall("error")):
            first = first or f"{str(case.get('name')).partition('[')[0]}: {_one_line(str(fault.get('message')))}"
    return Verdict(int(suite.get("tests", 0)), int(suite.get("failures", 0)), int(suite.get("errors", 0)), first)


def _one_line(message: str) -> str:
    return re.sub(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}", "…", message.splitlines()[0])[:160]


def main(arguments: list[str]) -> int:
    """Try all out, print the table, and write it into the document when it is whole."""
    word = arguments[0] if arguments else ""
    mutants = read_mutants(word)
    controls = {(m.tests, m.runs): Mutant(f"unbroken: {m.tests}", "", m.tests, m.runs, None) for m in mutants}
    failures = []
    lines = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for control, verdict in zip(controls.values(), pool.map(try_out, controls.values()), strict=True):
            green = verdict.ran > 0 and not verdict.failed and not verdict.errors
            print(f"{'green ' if green else 'RED   '} {control.name} ({verdict.ran} runs) {verdict.first}", flush=True)
            failures += [] if green else [control.name]
        for mutant, verdict in zip(mutants, pool.map(try_out, mutants), strict=True):
            print(f"{'caught' if verdict.is_caught else 'MISSED'} {mutant.name}: {verdict.first}", flush=True)
            failures += [] if verdict.is_caught else [mutant.name]
            shown = verdict.first.replace("|", "\\|")
            lines.append(f"| {mutant.what} | {mutant.tests.partition('.py')[0]}: {shown} |\n")
    if failures:
        print(f"{len(failures)} not as expected: {', '.join(failures)}", file=sys.stderr)
        return 1
    if not word:
        write_between("mutants", f"| breakage | caught by |\n|---|---|\n{''.join(lines)}")
    print(f"all {len(mutants)} caught")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
