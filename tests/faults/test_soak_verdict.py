"""What a soak says of a series: it must see a leak behind noise and saw teeth, and cry at neither."""

import math
import random
from collections.abc import Callable

import pytest

from .soak_plot import MB
from .soak_series import Series
from .soak_verdict import Rule, judge

SAMPLES = 360
EVERY_S = 5.0
ORDERS_PER_SAMPLE = 20
MEMORY = Rule("memory.", "flat", share=0.03, at_least=2 * MB, unit="MB")
LOG = Rule("disk.queue.", "capped", cap=25 * MB, unit="MB")


def sampled(name: str, value: Callable[[int], float]) -> Series:
    return Series(name, [EVERY_S * i for i in range(SAMPLES)], [value(i) for i in range(SAMPLES)])


ORDERS = sampled("orders.accepted", lambda i: ORDERS_PER_SAMPLE * i)
noise = random.Random(1)


@pytest.mark.parametrize(
    ("rule", "series", "judgement"),
    [
        (MEMORY, sampled("memory.still", lambda _: 100 * MB + noise.uniform(-2, 2) * MB), "flat"),
        (MEMORY, sampled("memory.fills a cache", lambda i: 100 * MB * (1 - math.exp(-i / 30))), "flat"),
        (MEMORY, sampled("memory.one spike", lambda i: (400 if i == 300 else 100) * MB), "flat"),
        (MEMORY, sampled("memory.shrinks", lambda i: (200 - i / 10) * MB), "flat"),
        (MEMORY, sampled("memory.leaks", lambda i: 100 * MB + i * ORDERS_PER_SAMPLE * 1000), "GROWING"),
        (MEMORY, sampled("memory.leaks, noisy", lambda i: (100 + i / 40 + noise.uniform(-2, 2)) * MB), "GROWING"),
        (LOG, sampled("disk.queue.saw", lambda i: (i % 37) * MB / 2), "below its cap"),
        (LOG, sampled("disk.queue.never freed", lambda i: i * MB / 10), "GROWING"),
    ],
    ids=lambda value: value.name if isinstance(value, Series) else "",
)
def test_a_leak_is_told_from_noise(rule: Rule, series: Series, judgement: str) -> None:
    (verdict,) = judge({series.name: series}, (rule,), ORDERS)
    assert verdict.judgement == judgement


def test_what_grows_by_design_is_told_by_order() -> None:
    ledger = sampled("table.orders.orders", lambda i: 300.0 * ORDERS_PER_SAMPLE * i)
    (verdict,) = judge({ledger.name: ledger}, (Rule("table.", "grows", unit="MB"),), ORDERS)
    assert verdict.judgement == "grows with the orders"
    assert verdict.per_order == pytest.approx(300)
