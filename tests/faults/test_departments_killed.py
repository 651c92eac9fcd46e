"""A department is killed by `kill -9` at every point where a crash could lose or repeat something."""

import pytest

from .conftest import Run
from .crash import CrashPoint
from .killing import Load, assert_survives, each
from .parts import Parts

SCENARIO = 3
PARTS = Parts(
    gateways=1, departments=("sap_bridge", "marketing"), workers={"sap_bridge": 2, "marketing": 2, "tracker": 2}
)
LOAD = Load(rate=15, orders_after=8)

_LEDGER = "eventbus.department.ledger:Ledger"
_SETTLING = [
    CrashPoint("eventbus.department.settling:Settler.settle"),  # the effect is committed, the result is not published
    CrashPoint("eventbus.department.publisher:Publisher._send", "after", call=2),  # not confirmed; 1: the announcement
    CrashPoint("eventbus.department.session:Session.ack"),  # the result is confirmed
    CrashPoint("eventbus.department.session:Session.flush"),  # acknowledgements are collected, not sent
    CrashPoint("eventbus.department.session:Session.flush", "after"),  # sent, the broker may not have read them
]
SAP_BRIDGE = [
    CrashPoint(f"{_LEDGER}.claim"),  # before the ledger's row
    CrashPoint(f"{_LEDGER}.claim", "after"),  # it is not committed
    CrashPoint("sap_bridge.booking:Booking._sending"),  # it is, `new`
    CrashPoint("sap_bridge.booking:Booking._sending", "after"),  # `sending`, before the call
    CrashPoint("sap_bridge.client:SapClient.create", "after"),  # SAP has booked
    CrashPoint("sap_bridge.booking:Booking._booked", "after"),  # `booked`
    *_SETTLING,
]
MARKETING = [
    CrashPoint("marketing.service:Counters.count"),  # before the transaction
    CrashPoint("marketing.book:Book.count", "after"),  # counted, not committed
    CrashPoint("marketing.service:Counters.count", "after"),  # committed
    *_SETTLING,
]
TRACKER = [
    CrashPoint("orders.tracker:keep_reports"),
    CrashPoint("orders.tracker:keep_reports", "after"),  # not committed
    CrashPoint("eventbus.department.session:Session.ack"),  # committed
    CrashPoint("eventbus.department.session:Session.flush", "after"),
]


@each(SAP_BRIDGE)
@pytest.mark.runs_shared_by(len(SAP_BRIDGE))
def test_sap_bridge_killed(run: Run, point: tuple[int, CrashPoint], seed: int) -> None:
    """`kill -9` of sap_bridge at each crash point"""
    assert_survives(run, "sap_bridge", point, seed, LOAD)


@each(MARKETING)
@pytest.mark.runs_shared_by(len(MARKETING))
def test_marketing_killed(run: Run, point: tuple[int, CrashPoint], seed: int) -> None:
    """`kill -9` of marketing at each crash point"""
    assert_survives(run, "marketing", point, seed, LOAD)


@each(TRACKER)
@pytest.mark.runs_shared_by(len(TRACKER))
def test_tracker_killed(run: Run, point: tuple[int, CrashPoint], seed: int) -> None:
    """`kill -9` of the tracker at each crash point"""
    assert_survives(run, "tracker", point, seed, LOAD)
