"""How fast SAP is called: the pause that it asks for, and the rate that we keep to."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from eventbus.department import Done, Later
from eventbus.department.ledger import Key, Ledger
from eventbus.testing import an_event
from sap_bridge import schema
from sap_bridge.client import Answer, Call, SapClient
from sap_bridge.errors import Verdict
from sap_bridge.pace import Pace, Pause
from sap_bridge.settings import SapSettings
from sap_sandbox.testing import RunningSandbox


def test_pause_doubles_in_a_row_and_a_success_makes_it_short_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("sap_bridge.pace.time.monotonic", lambda: now)
    pause = Pause()
    lengths = []
    for _ in range(8):
        lengths.append(pause.extend(None))
        now += lengths[-1]
    assert lengths == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause.left_s() == 0

    pause.succeeded()
    assert pause.extend(None) == 1
    assert pause.extend(7) == 7
    assert pause.extend(None) == 7  # under way together: one pause
    now += 3
    assert pause.left_s() == 4


def test_pace_spreads_calls_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("sap_bridge.pace.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("sap_bridge.pace.time.sleep", slept.append)
    pace, none = Pace(4, 8), Pace(0, 8)
    for _ in range(3):
        assert pace.wait(until=101)
        assert none.wait(until=101)

    assert slept == [0.0, 0.25, 0.5]


def test_pace_turn_after_the_deadline_is_not_waited_for_nor_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("sap_bridge.pace.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("sap_bridge.pace.time.sleep", slept.append)
    pace = Pace(0.1, 8)

    assert [pace.wait(until=109), pace.wait(until=109), pace.wait(until=111)] == [True, False, True]
    assert slept == [0.0, 10.0]


def test_who_would_hold_a_worker_for_long_is_sent_away_each_to_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = 100.0
    monkeypatch.setattr("sap_bridge.pace.time.monotonic", lambda: now)
    monkeypatch.setattr("sap_bridge.pace.time.sleep", slept.append)
    pace = Pace(2, 8)

    assert [pace.away_s() for _ in range(6)] == [0, 0, 0, 1.5, 1.75, 2]
    assert slept == [0, 0.5, 1]
    assert [pace.wait(until=101) for _ in range(4)] == [True, True, True, False], "each that began has its turn"
    now = 102.0
    assert [pace.away_s() for _ in range(4)] == [0, 0, 0, 1.5]
    assert Pace(0, 8).away_s() == 0


def test_turns_that_nobody_called_in_make_no_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sap_bridge.pace.time.sleep", lambda _seconds: None)
    pace = Pace(10000, 3)
    for _ in range(50):
        pace.away_s()
    monkeypatch.setattr("sap_bridge.pace.time.monotonic", lambda: 0.0)

    assert [pace.wait(until=0) for _ in range(4)] == [True, True, True, False]


def test_pace_leaves_no_time_nothing_is_sent_and_the_slot_is_free_again(
    sap: Any, settings: Callable[..., SapSettings]
) -> None:
    client = SapClient(settings(sap.url, max_concurrency=1, max_rps=0.1))

    began = time.monotonic()
    answers = [client.find("A", "1", "1710", began + 5) for _ in range(2)]

    assert answers == [Answer(Verdict.RETRY, "not sent: no time left", call=Call.LOOK_UP)] * 2
    assert len(sap.requests) == 1  # the login had the only turn
    client.close()


def test_rate_is_used_up_the_order_comes_back_and_nothing_is_claimed(
    sandbox: RunningSandbox, make_booking: Any, transactions: Any
) -> None:
    booking = make_booking(sandbox.url, max_rps=0.5)
    first, second = an_event(), an_event()
    assert isinstance(booking.book(first), Done)

    outcomes = [booking.book(event) for event in (second, second)]

    assert [type(outcome) for outcome in outcomes] == [Later, Later]
    assert outcomes[0].seconds < outcomes[1].seconds, "they come back one after the other"
    ledger = Ledger(schema.ledger)
    assert transactions.run(lambda connection: ledger.get(connection, Key(second.subject, second.type))) is None
