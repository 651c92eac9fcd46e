"""The printer's department is killed by `kill -9` at every point where a crash could lose or repeat a slip."""

import pytest

from .conftest import Run
from .crash import CrashPoint
from .killing import Load, assert_survives, each
from .parts import Parts

SCENARIO = 3
PARTS = Parts(gateways=1, departments=("printer",), workers={"printer": 2})
LOAD = Load(rate=2, orders_after=2, calls_max=2)
"""The printer takes one job at a time."""

PRINTER = [
    CrashPoint("printer.records:Records.claim"),
    CrashPoint("printer.submission:Submission._create"),  # claimed
    CrashPoint("printer.ipp_client:IppPrinter.create_job"),  # `creating`
    CrashPoint("printer.ipp_client:IppPrinter.create_job", "after"),  # there is a job whose number nobody knows
    CrashPoint("printer.submission:Submission._create", "after"),  # `created`
    CrashPoint("printer.ipp_client:IppPrinter.send_document"),  # `sending`
    CrashPoint("printer.ipp_client:IppPrinter.send_document", "after"),
    CrashPoint("printer.submission:Submission._send", "after"),  # `accepted`
    CrashPoint("eventbus.department.session:Session.ack"),
]
FOLLOWER = [
    CrashPoint("printer.follower:end_of", "after"),  # the end is seen, not committed
    CrashPoint("printer.follower:close"),  # committed, not reported
    CrashPoint("printer.closing:report", "after"),  # reported, not closed
    CrashPoint("printer.closing:close_printed", "after"),  # closed
]


@each(PRINTER)
@pytest.mark.runs_shared_by(len(PRINTER))
def test_printer_killed(run: Run, point: tuple[int, CrashPoint], seed: int) -> None:
    """`kill -9` of the printer department at each crash point of a submission"""
    assert_survives(run, "printer", point, seed, LOAD)


@each(FOLLOWER)
@pytest.mark.runs_shared_by(len(FOLLOWER))
def test_follower_killed(run: Run, point: tuple[int, CrashPoint], seed: int) -> None:
    """`kill -9` of the printer department at each crash point of its follower"""
    assert_survives(run, "printer", point, seed, LOAD, any_worker=True)
