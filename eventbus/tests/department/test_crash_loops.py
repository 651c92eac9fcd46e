"""When a delivery is taken to kill the workers that get it."""

from types import SimpleNamespace
from typing import Any

import pytest
from eventbus.department.consumer import Bus


@pytest.mark.parametrize(
    ("is_slow", "first_life", "times_delivered", "is_parked"),
    [
        pytest.param(True, True, 4, False, id="alone, not often enough"),
        pytest.param(True, True, 5, True, id="alone, after a start"),
        pytest.param(True, False, 5, False, id="alone, after lost connections"),
        pytest.param(False, True, 9, False, id="beside others, of which each may be the one"),
        pytest.param(False, True, 10, True, id="beside others, long before the broker gives up without a report"),
        pytest.param(False, False, 10, False, id="beside others, after lost connections"),
    ],
)
def test_delivery_that_came_often_is_parked(
    is_slow: bool, first_life: bool, times_delivered: int, is_parked: bool
) -> None:
    bus: Any = Bus()
    bus._slow, bus.connection = is_slow, SimpleNamespace(first_life=first_life)
    assert bus._kills_workers(SimpleNamespace(times_delivered=times_delivered)) == is_parked
