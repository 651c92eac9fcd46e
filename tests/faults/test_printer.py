"""The printer is busy, jammed, out of paper, standing still, gone, or forgets: one paper each, or a person is asked."""

import os
import subprocess
import sys

import pytest
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .papers import PAUSED, RATE, assert_one_paper_or_asked, paper_of
from .parts import Parts

SCENARIO = 8
PARTS = Parts(gateways=1, departments=("printer",), workers={"printer": 2})
pytestmark = pytest.mark.runs_shared_by(2)  # a run takes the printer's time
PRINTS_MAX = 3


def test_printer_is_busy(run: Run) -> None:
    """The printer holds a job for long, and is busy for all others"""
    paper = paper_of(run)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(1, 3))
        paper.hold()
        try:
            wait_until(lambda: paper.holds_job, 60, "it prints")
            done = len(run.shop.papers())
            run.customers.wait_placed(run.rng.randint(3, 6))
            assert len(run.shop.papers()) == done
        finally:
            paper.go_on()
    run.assert_kept()


def test_printer_aborts_jobs(run: Run) -> None:
    """The printer aborts jobs: they are printed again, marked"""
    paper = paper_of(run)
    aborts = run.rng.randint(1, PRINTS_MAX - 1)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(1, 3))
        for _ in range(aborts):
            paper.abort_next()
        run.customers.wait_placed(3)
        wait_until(lambda: not paper.aborts_left, 60, "jobs are aborted")
    run.assert_kept()


def test_printer_aborts_a_job_again_and_again(run: Run) -> None:
    """A job is aborted three times: `attention`; reprinted by a person, it is on paper once"""
    paper = paper_of(run)
    for _ in range(PRINTS_MAX):
        paper.abort_next()
    victim = run.customers.place_one()
    wait_until(lambda: not paper.aborts_left, 90, "its jobs are aborted")
    run.customers.place(run.rng.randint(1, 3))
    assert assert_one_paper_or_asked(run, "was aborted by the printer") == [victim]
    assert victim not in run.shop.papers()
    reprint(run, victim)
    wait_until(lambda: victim in run.shop.papers(), 60, "it is reprinted")
    run.assert_kept()


def reprint(run: Run, number: str) -> None:
    """What a person does who has mended the printer."""
    command = [sys.executable, "-m", "printer", "reprint", number, "--reason", "jam"]
    environ = {**os.environ, "CONFIG_FILE": str(run.shop.one("printer").config_file)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_printer_out_of_paper(run: Run) -> None:
    """The tray is empty: the department pauses; filling it restarts the printer, which forgets its job"""
    paper = paper_of(run)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(1, 3))
        paper.empty_tray()
        wait_until(lambda: any(worker.metric(PAUSED) for worker in run.shop.all("printer")), 60, "it is paused")
        run.customers.wait_placed(run.rng.randint(1, 3))
        paper.kill()
        paper.start()
    asked = assert_one_paper_or_asked(run, "look in the tray")
    assert len(asked) < len(run.customers.numbers)


def test_printer_vanishes(run: Run) -> None:
    """The printer is killed amid printing, is away for a while, and comes back without memory"""
    paper = paper_of(run)
    with run.customers.placing(RATE):
        for _ in range(run.rng.randint(1, 2)):
            run.customers.wait_placed(run.rng.randint(2, 4))
            paper.hold()
            try:
                wait_until(lambda: paper.holds_job, 60, "it prints")
                paper.kill()
                run.customers.wait_placed(run.rng.randint(1, 3))
            finally:
                paper.go_on()
                paper.kill()
                paper.start()
    asked = assert_one_paper_or_asked(run, "look in the tray")
    assert 0 < len(asked) < len(run.customers.numbers)


def test_printer_in_all_troubles(run: Run) -> None:
    """Busy, standing still and aborting by turns, while the department's workers are killed"""
    paper = paper_of(run)
    aborts_left = PRINTS_MAX - 1
    with run.customers.placing(RATE):
        for _ in range(4):
            trouble = run.rng.choice(["hold", "freeze", "abort", "kill a worker"])
            if trouble == "abort" and aborts_left:
                aborts_left -= 1
                paper.abort_next()
            elif trouble == "kill a worker":
                run.rng.choice(run.shop.all("printer")).kill()
            stop, go_on = (paper.hold, paper.go_on) if trouble == "hold" else (paper.freeze, paper.resume)
            stop()
            try:
                run.customers.wait_placed(run.rng.randint(1, 3))
            finally:
                go_on()
    run.assert_kept()
    assert not paper.aborts_left
