"""Kills a process at a crash point while orders come in."""

from dataclasses import dataclass

import pytest
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .crash import CrashPoint
from .program import KILLED, Program

DEADLINE_S = 120


@dataclass(frozen=True)
class Load:
    """Orders that come in meanwhile.

    Args:
        rate: a second.
        orders_after: so many more after the worker's death.
        calls_max: it dies at one of so many calls.
    """

    rate: float
    orders_after: int
    calls_max: int = 5


def each(points: list[CrashPoint]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("point", [pytest.param((index, p), id=str(p)) for index, p in enumerate(points)])


def assert_survives_death(run: Run, program: Program, crash: CrashPoint, rate: float, calls_max: int) -> None:
    """A process of the orders service dies there, at one of its first calls: nothing is lost or doubled."""
    died = len(program.exit_codes) + 2  # one exit is the orderly stop before
    program.restart(crash=CrashPoint(crash.at, crash.when, call=run.rng.randint(1, calls_max))).wait_ready()
    with run.customers.placing(rate):
        wait_until(lambda: len(program.exit_codes) >= died, 60, f"{program.name} died {crash}")
        run.customers.wait_placed(10)
    assert program.exit_codes[-1] == KILLED
    run.assert_kept()


def assert_survives(
    run: Run,
    kind: str,
    point: tuple[int, CrashPoint],
    seed: int,
    load: Load,
    *,
    any_worker: bool = False,
) -> None:
    """One worker of the department dies there, alone or beside another, which the point's index and the seed decide.

    Args:
        any_worker: whether the other may be the one that gets there.
    """
    index, crash = point
    first, second = run.shop.all(kind)
    crash = CrashPoint(crash.at, crash.when, crash.call + run.rng.randrange(load.calls_max))
    is_alone = (index + seed) % 2 == 0
    if is_alone:
        second.stop()
    armed = [first, second] if any_worker and not is_alone else [first]
    deaths_before = {worker.name: worker.exit_codes.count(KILLED) for worker in armed}

    def died(worker: Program) -> bool:
        return worker.exit_codes.count(KILLED) > deaths_before[worker.name]

    try:
        for worker in armed:
            worker.restart(crash)
        for worker in armed:
            worker.wait_ready()
        with run.customers.placing(load.rate):
            wait_until(lambda: any(map(died, armed)), DEADLINE_S, f"{kind} died {crash}")
            run.customers.wait_placed(load.orders_after)
        run.shop.wait_ready()  # the other may have done everything before this one is back, whom the count asks
        run.assert_kept()
    finally:
        for worker in armed:
            if not died(worker):
                worker.restart()
        if is_alone:
            second.start()
