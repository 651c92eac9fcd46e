"""Samples of a run: named series over time, kept in a CSV file as they come."""

import csv
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Series:
    """One quantity: when it was sampled (seconds since the start), and what it was."""

    name: str
    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def since(self, second: float) -> "Series":
        """The part from that second on."""
        kept = [(s, v) for s, v in zip(self.seconds, self.values, strict=True) if s >= second]
        return Series(self.name, [s for s, _ in kept], [v for _, v in kept])


class Recorder:
    """Keeps samples in memory and appends each to `samples.csv` (columns seconds, series, value)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.series: dict[str, Series] = {}
        self._file = (folder / "samples.csv").open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file)
        self._csv.writerow(("seconds", "series", "value"))
        self._start = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start

    def add(self, sample: Mapping[str, float]) -> None:
        now = self.elapsed_s
        for name, value in sample.items():
            self._csv.writerow((f"{now:.1f}", name, f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"))
            series = self.series.setdefault(name, Series(name))
            series.seconds.append(now)
            series.values.append(value)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def load(file: Path) -> dict[str, Series]:
    """The series of a run that a `Recorder` wrote."""
    found: dict[str, Series] = {}
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            series = found.setdefault(row["series"], Series(row["series"]))
            series.seconds.append(float(row["seconds"]))
            series.values.append(float(row["value"]))
    return found


def matching(series: Mapping[str, Series], prefixes: Iterable[str]) -> list[Series]:
    """Those whose name begins with one of the prefixes, by name."""
    wanted = tuple(prefixes)
    return [series[name] for name in sorted(series) if name.startswith(wanted)]
