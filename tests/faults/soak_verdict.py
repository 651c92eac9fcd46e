"""Whether a series of a soak is flat: a rule for each kind, and what it says of each series.

The second half of the run counts: caches, pools and heaps fill in the first. The rise is the slope of Theil and Sen
(the median of the slopes between all pairs of samples, which spikes and saw teeth do not bend) times the length of
that half. It may be as large as what such a series does by itself when nothing leaks: the rule's bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .soak_series import Series

Kind = Literal["flat", "capped", "grows"]
Judgement = Literal["flat", "below its cap", "grows with the orders", "GROWING"]


@dataclass(frozen=True)
class Rule:
    """How series of one prefix are judged; the first rule that fits holds.

    Args:
        prefix: of the names.
        kind: `flat`: the rise must stay within the bound. `capped`: the largest value stays below `cap`, whatever the
            slope (a log that is freed in steps). `grows`: it grows with the orders by design, and is told by order.
        share, at_least: the bound of a `flat` one: that part of its median, but not less than this.
        cap: of a `capped` one.
        unit: of the values.
    """

    prefix: str
    kind: Kind
    share: float = 0.0
    at_least: float = 0.0
    cap: float = 0.0
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was found of one series."""

    name: str
    judgement: Judgement
    start: float
    middle: float
    end: float
    rise: float
    """Over the second half of the run."""
    bound: float
    per_order: float
    """The rise of the second half by order accepted in it."""
    unit: str


def judge(series: Mapping[str, Series], rules: Sequence[Rule], orders: Series) -> list[Verdict]:
    """A verdict for each series that a rule is about, in the order of the rules.

    Args:
        orders: how many were accepted until then.
    """
    end = max(orders.seconds)
    placed = _rise(orders.since(end / 2))
    found, seen = [], set()
    for rule in rules:
        for name in sorted(name for name in series if name.startswith(rule.prefix) and name not in seen):
            seen.add(name)
            half = series[name].since(end / 2)
            if len(half.values) >= 3:
                found.append(_verdict(series[name], half, rule, placed))
    return found


def _verdict(whole: Series, half: Series, rule: Rule, placed: float) -> Verdict:
    rise, median = _rise(half), float(np.median(half.values))
    bound = {"flat": max(rule.share * median, rule.at_least), "capped": rule.cap, "grows": float("inf")}[rule.kind]
    judgement: Judgement = "flat"
    if rule.kind == "grows":
        judgement = "grows with the orders"
    elif rule.kind == "capped":
        judgement = "below its cap" if max(whole.values) <= bound else "GROWING"
    elif rise > bound:
        judgement = "GROWING"
    per_order = rise / placed if placed else 0.0
    return Verdict(
        whole.name, judgement, whole.values[0], half.values[0], whole.values[-1], rise, bound, per_order, rule.unit
    )


def _rise(half: Series) -> float:
    """The slope of Theil and Sen times the length of the series."""
    seconds, values = np.array(half.seconds), np.array(half.values)
    first, second = np.triu_indices(len(seconds), k=1)
    slopes = (values[second] - values[first]) / (seconds[second] - seconds[first])
    return float(np.median(slopes)) * float(seconds[-1] - seconds[0])


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts in Markdown."""
    lines = ["| series | start | half-time | end | rise | bound | by order | |", "|---|---|---|---|---|---|---|---|"]
    for one in verdicts:
        numbers = [_number(value, one.unit) for value in (one.start, one.middle, one.end, one.rise, one.bound)]
        by_order = f"{one.per_order:,.0f} B" if one.unit == "MB" else f"{one.per_order:.3g}"
        lines.append(f"| {one.name} | {' | '.join(numbers)} | {by_order} | {one.judgement} |")
    return "\n".join(lines) + "\n"


def _number(value: float, unit: str) -> str:
    if value == float("inf"):
        return "–"
    return f"{value / 1e6:,.2f} MB" if unit == "MB" else f"{value:,.0f}"
