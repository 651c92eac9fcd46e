"""Answers of the printer are lost, cut or refusals: one paper each, or a person is asked."""

from collections.abc import Mapping

import pytest
from eventbus.testing.waiting import wait_until
from printer.ipp_transport import Operation
from printer.testing.cutting_proxy import CuttingProxy

from .conftest import Run
from .papers import PAUSED, RATE, assert_one_paper_or_asked
from .parts import Parts

SCENARIO = 8
PARTS = Parts(gateways=1, departments=("printer",), workers={"printer": 2}, printer_by_proxy=True)
# of each kind of request some answers are lost, and some requests are cut before their end
LOST_AND_CUT = (
    ((Operation.CREATE_JOB, Operation.GET_PRINTER_ATTRIBUTES), Operation.SEND_DOCUMENT),
    ((Operation.SEND_DOCUMENT, Operation.GET_JOB_ATTRIBUTES), Operation.CREATE_JOB),
)
REFUSALS: Mapping[str, tuple[int, ...]] = {
    "stopped": (0x0504, 0x0506),
    "refuses us": (0x0401, 0x0402, 0x0403, 0x0406),
    "is busy": (0x0502, 0x0505, 0x0507),
    "fails": (0x0500, 0x0509),
}
PAUSES = ("stopped", "refuses us")


def proxy_of(run: Run) -> CuttingProxy:
    assert run.shop.printer_proxy is not None
    return run.shop.printer_proxy


@pytest.mark.runs_shared_by(len(LOST_AND_CUT))
@pytest.mark.parametrize(("lost", "cut"), LOST_AND_CUT, ids=["job", "document"])
def test_answers_lost_and_requests_cut(run: Run, lost: tuple[Operation, ...], cut: Operation) -> None:
    """The printer accepts requests and its answers are lost; others are cut before their end"""
    proxy = proxy_of(run)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(1, 3))
        for operation in lost:
            proxy.swallow_answer(operation)
        for _ in range(run.rng.randint(1, 2)):
            proxy.cut_request(cut)
        run.customers.wait_placed(5)
    # without load: with it the printer, which takes one job at a time, would fall behind
    wait_until(lambda: proxy.is_done_cutting, 90, "all that was to be cut was cut")
    # ippeveprinter does not tell how much of a document it has: one that may be half is looked at by a person
    assert_one_paper_or_asked(run, "check the paper")


@pytest.mark.runs_shared_by(2)
@pytest.mark.parametrize("refusals", [("stopped", "is busy"), ("fails", "refuses us")], ids=" + ".join)
def test_printer_refuses(run: Run, refusals: tuple[str, ...]) -> None:
    """The printer is stopped, rejects jobs, refuses us, is busy or fails, for a while"""
    proxy = proxy_of(run)
    with run.customers.placing(RATE):
        run.customers.wait_placed(run.rng.randint(1, 3))
        for what in refusals:
            proxy.answer(Operation.CREATE_JOB, run.rng.choice(REFUSALS[what]))
            try:
                if what in PAUSES:
                    wait_until(lambda: any(w.metric(PAUSED) for w in run.shop.all("printer")), 60, "it pauses")
                run.customers.wait_placed(run.rng.randint(2, 4))
            finally:
                proxy.answer_itself()
            run.customers.wait_placed(1)
    run.assert_kept()
