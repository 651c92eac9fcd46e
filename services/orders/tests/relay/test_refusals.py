"""Routing keys that the broker refuses, without a broker."""

import pytest
from orders.relay.refusals import HOLD_MAX_S, Refusals

from relay.clock import Clock

NORTH, SOUTH = "order.created.north", "order.created.south"


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock)


def test_refused_key_is_left_alone_for_a_second_then_probed_by_one_thread(refusals: Refusals, clock: Clock) -> None:
    refusals.refused(NORTH, others_confirmed=False)

    assert refusals.held() == (NORTH,)
    assert refusals.due_in() == 1.0
    assert refusals.take_due() is None
    clock.now += 1
    assert refusals.take_due() == NORTH
    assert refusals.take_due() is None  # nobody else probes it meanwhile
    assert refusals.held() == (NORTH,)


def test_accepted_probe_lets_the_key_flow(refusals: Refusals, clock: Clock) -> None:
    refusals.refused(NORTH, others_confirmed=False)
    clock.now += 1
    refusals.take_due()

    refusals.accepted(NORTH)

    assert refusals.held() == ()
    assert refusals.due_in() is None


@pytest.mark.parametrize(
    ("others_confirmed", "holds"), [(False, [1, 2, 4, 8, HOLD_MAX_S, HOLD_MAX_S]), (True, [1, 1, 1, 1, 1, 1])]
)
def test_hold_doubles_until_something_of_the_key_is_confirmed(
    refusals: Refusals, clock: Clock, others_confirmed: bool, holds: list[float]
) -> None:
    seen = []
    for _ in holds:
        refusals.refused(NORTH, others_confirmed=others_confirmed)
        hold_s = refusals.due_in()
        assert hold_s is not None
        seen.append(hold_s)
        clock.now += hold_s
        assert refusals.take_due() == NORTH

    assert seen == holds


def test_messages_sent_before_the_hold_do_not_lengthen_it(refusals: Refusals) -> None:
    for _ in range(3):
        refusals.refused(NORTH, others_confirmed=False)

    assert refusals.due_in() == 1.0


def test_probe_without_an_answer_is_made_again(refusals: Refusals, clock: Clock) -> None:
    refusals.refused(NORTH, others_confirmed=False)
    refusals.refused(SOUTH, others_confirmed=False)
    clock.now += 1
    assert {refusals.take_due(), refusals.take_due()} == {NORTH, SOUTH}

    refusals.unknown(SOUTH)

    assert refusals.take_due() == SOUTH
