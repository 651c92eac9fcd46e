"""When the relay makes the shared topology again, without a broker."""

import pika
import pytest
from orders.relay.mending import BACK_OFF_MAX_S, Mending

from relay.clock import Clock

HOST = pika.URLParameters("amqp://127.0.0.1/")


@pytest.fixture
def started() -> list[pika.URLParameters]:
    return []


@pytest.fixture
def mending(started: list[pika.URLParameters], clock: Clock) -> Mending:
    return Mending(started.append, clock)


def test_first_return_starts_one_attempt_and_the_others_of_its_burst_none(
    mending: Mending, started: list[pika.URLParameters]
) -> None:
    for _ in range(500):
        mending.on_return(HOST)
    mending.done()
    mending.on_return(HOST)

    assert started == [HOST]


def test_attempts_get_rarer_while_events_come_back(
    mending: Mending, started: list[pika.URLParameters], clock: Clock
) -> None:
    at: list[float] = []
    for _ in range(200):
        before = len(started)
        mending.on_return(HOST)
        if len(started) > before:
            at.append(clock.now - 100)
            mending.done()
        clock.now += 1

    assert at == [0, 1, 2, 4, 8, 16, 32, 64, 124, 184]


def test_another_fault_long_after_is_mended_as_fast_as_the_first(
    mending: Mending, started: list[pika.URLParameters], clock: Clock
) -> None:
    for _ in range(6):
        mending.on_return(HOST)
        mending.done()
        clock.now += BACK_OFF_MAX_S
    clock.now += 3 * BACK_OFF_MAX_S
    started.clear()

    mending.on_return(HOST)
    mending.done()
    clock.now += 1
    mending.on_return(HOST)

    assert len(started) == 2
