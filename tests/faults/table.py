"""The table scenario × runs × lost × doubled: kept as JSON by the suite, written into docs/reliability.md.

`python -m tests.faults.table` renews the table in the document from what `make test-faults` has counted.
"""

import fcntl
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "var" / "faults" / "results.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
COUNTS = ("orders", "lost", "doubled", "repeats", "possible_duplicates", "attention")
HEADINGS = ("runs", "failed", "orders", "lost", "doubled", "copies dropped", "possible duplicate", "attention")


def new_row(broker: str, number: int, title: str) -> dict[str, Any]:
    """A row of that scenario without any run."""
    return {
        "broker": broker,
        "number": number,
        "title": title,
        "runs": 0,
        "failed": 0,
        "not_run": "",
        **dict.fromkeys(COUNTS, 0),
    }


def add(row: dict[str, Any], outcome: str, counts: Mapping[str, int], reason: str = "") -> None:
    """Count one run: `passed`, `failed` or `skipped` (which is no run)."""
    if outcome == "skipped":
        row["not_run"] = reason
        return
    row["runs"] += 1
    row["failed"] += outcome == "failed"
    for name in COUNTS:
        row[name] += counts.get(name, 0)


def merge(rows: list[dict[str, Any]], file: Path = RESULTS) -> list[dict[str, Any]]:
    """All rows known, with these in place of earlier ones of the same scenario and broker; written to the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # suites may end at the same time
        known = {_key(row): row for row in _read(file)} | {_key(row): row for row in rows}
        file.write_text(json.dumps(sorted(known.values(), key=_key), indent=1, ensure_ascii=False) + "\n")
    return sorted(known.values(), key=_key)


def markdown(rows: list[dict[str, Any]]) -> str:
    """One table for each version of the broker."""
    parts = []
    for broker in sorted({row["broker"] for row in rows}):
        own = [row for row in rows if row["broker"] == broker]
        parts.append(f"RabbitMQ {broker}:\n\n| scenario | {' | '.join(HEADINGS)} |\n|---|{'---|' * len(HEADINGS)}\n")
        parts += [f"| {row['number']}. {row['title']} | {' | '.join(_cells(row))} |\n" for row in own]
        total = {name: sum(row[name] for row in own) for name in ("runs", "failed", *COUNTS)}
        parts.append(f"| **all** | {' | '.join(str(total[name]) for name in ('runs', 'failed', *COUNTS))} |\n\n")
    return "".join(parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    if not row["runs"]:
        return [f"not run: {row['not_run']}", *[""] * (len(HEADINGS) - 1)]
    return [str(row[name]) for name in ("runs", "failed", *COUNTS)]


def _key(row: Mapping[str, Any]) -> tuple[str, int, str]:
    return row["broker"], row["number"], row["title"]


def _read(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text())) if file.exists() else []


def write_between(name: str, text: str) -> None:
    """Put the text between `<!-- name: begin -->` and `<!-- name: end -->` in the document.

    Raises:
        ValueError: the document has no such markers.
    """
    between = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    document = DOCUMENT.read_text()
    if not between.search(document):
        raise ValueError(f"expected the markers <!-- {name}: begin --> and <!-- {name}: end --> in {DOCUMENT}")
    DOCUMENT.write_text(between.sub(lambda found: f"{found[1]}{text}{found[2]}", document))


def main() -> int:
    """Write the table into the document."""
    rows = _read(RESULTS)
    if not rows:
        print(f"expected results in {RESULTS}: run make test-faults first", file=sys.stderr)
        return 1
    write_between("faults", markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
