"""Slips in a folder, written by two workers that are killed, frozen or without their folder: one file each."""

import time

import pytest
from eventbus.testing.waiting import wait_until
from printer.records import FOLDER_LEASE_S

from .conftest import Run
from .papers import PAUSED
from .parts import Parts

SCENARIO = 8
PARTS = Parts(gateways=1, departments=("printer",), workers={"printer": 2}, paper="folder", database="sqlite")
pytestmark = pytest.mark.runs_shared_by(2)
RATE = 25.0


def test_folder_printers_killed(run: Run) -> None:
    """Two workers write slips into one folder, and are killed by turns"""
    with run.customers.placing(RATE):
        for _ in range(run.rng.randint(2, 4)):
            run.customers.wait_placed(run.rng.randint(3, 15))
            run.rng.choice(run.shop.all("printer")).kill_and_wait()
    run.assert_kept()


def test_folder_printer_frozen(run: Run) -> None:
    """One of them stands still (SIGSTOP) for longer than its leases, then goes on with what it was at"""
    frozen = run.rng.choice(run.shop.all("printer"))
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(3, 15))
        frozen.freeze()
        try:
            until = time.monotonic() + FOLDER_LEASE_S + run.rng.uniform(0, 2)
            wait_until(lambda: time.monotonic() > until, 30, "its leases are over")
        finally:
            frozen.resume()
        run.customers.wait_placed(5)
    run.assert_kept()


def test_folder_gone(run: Run) -> None:
    """The folder is gone for a while: the department pauses, then writes each slip once"""
    slips = run.shop.slips
    aside = slips.with_name("aside")
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(3, 15))
        slips.rename(aside)
        try:
            wait_until(lambda: any(worker.metric(PAUSED) for worker in run.shop.all("printer")), 60, "it is paused")
            run.customers.wait_placed(run.rng.randint(3, 15))
        finally:
            aside.rename(slips)
    run.assert_kept()
