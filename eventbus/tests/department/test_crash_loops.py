"""An event that may have killed workers is handled alone, and parked when it has killed often enough."""

from types import SimpleNamespace
from typing import Any

import pytest
from eventbus.department.consumer import Bus
from eventbus.department.isolation import Isolation


class Suspicious:
    """As much of a delivery as isolation looks at."""

    def __init__(self, crashes: int) -> None:
        self.crashes = crashes


def delivery(crashes: int) -> Any:
    return Suspicious(crashes)


@pytest.mark.parametrize(
    ("first_life", "crashes", "is_parked"),
    [
        pytest.param(True, 4, False, id="not often enough"),
        pytest.param(True, 5, True, id="often enough"),
        pytest.param(False, 5, False, id="after lost connections"),
    ],
)
def test_delivery_that_came_often_is_parked(first_life: bool, crashes: int, is_parked: bool) -> None:
    bus: Any = Bus()
    bus.connection = SimpleNamespace(first_life=first_life)
    assert bus._kills_workers(delivery(crashes)) == is_parked


def test_suspect_begins_when_the_others_are_done_and_nothing_is_on_its_way() -> None:
    isolation, suspect, other = Isolation(), delivery(2), delivery(1)
    assert isolation.admit(other, {other}, quiet=True) == "begin"
    assert isolation.admit(suspect, {other, suspect}, quiet=True) == "wait"
    assert isolation.waiting == suspect
    assert isolation.admit(suspect, {suspect}, quiet=False) == "wait"
    assert isolation.admit(suspect, {suspect}, quiet=True) == "begin"
    assert isolation.has_begun(suspect)
    assert isolation.waiting is None


def test_second_suspect_goes_aside_until_the_first_is_done() -> None:
    isolation, first, second = Isolation(), delivery(2), delivery(3)
    assert isolation.admit(first, {first}, quiet=True) == "begin"
    assert isolation.admit(second, {first, second}, quiet=True) == "aside"
    assert isolation.end() == []
    assert isolation.admit(second, {second}, quiet=True) == "begin"


def test_event_that_comes_while_a_suspect_runs_waits_for_its_end() -> None:
    isolation, suspect, late = Isolation(), delivery(2), delivery(0)
    assert isolation.admit(suspect, {suspect}, quiet=True) == "begin"
    assert isolation.admit(late, {suspect, late}, quiet=True) == "wait"
    assert isolation.end() == [late]
    assert isolation.admit(late, {late}, quiet=True) == "begin"
