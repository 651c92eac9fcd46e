"""A broker that lost everything: each stored order's event goes out again, to everybody, under the id it had."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from eventbus.contract import rfc3339
from eventbus.contract.routing import TRACKER_PATTERNS
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until
from orders.__main__ import main
from orders.rebuild import history

from eventbus import topology
from rebuild.conftest import Outcome, Shop, settings_of

Run = Callable[..., Outcome]

TODAY = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)


def at(seconds: float) -> str:
    """So long after noon of a recent day."""
    return rfc3339(TODAY + timedelta(seconds=seconds))


BEFORE = at(-3600)


def test_every_department_gets_every_order_again_as_it_was(shop: Shop, rebuild: Run) -> None:
    placed = [shop.place(at=at(second))[0] for second in range(3)]
    shop.announce("printer", BEFORE)
    shop.announce("far", BEFORE, patterns=("order.created.south",))
    shop.broker.declare_shared()
    shop.bind("orders", TRACKER_PATTERNS)
    shop.bind("printer")
    shop.bind("far", ("order.created.south",))

    outcome = rebuild(shop, "--from", BEFORE, "--wait", "0", amqp_url=shop.broker.url_of("orders-relay"))

    assert outcome.code == 0, outcome.err
    assert "published 3 events" in outcome.out
    messages = shop.broker.take_all("printer")
    assert [message.properties.message_id for message in messages] == [order.event_id for order in placed]
    assert [json.loads(message.body) for message in messages] == [json.loads(order.body) for order in placed]
    assert {message.headers["bus-replay"] for message in messages} == {True}
    assert {message.routing_key for message in messages} == {"order.created.north"}
    assert shop.delivered("far") == []
    again = rebuild(shop, "--from", at(1), "--to", at(2))
    assert (again.code, shop.delivered("printer")) == (0, [placed[1].event_id])


def test_topology_is_declared_and_departments_are_waited_for(sqlite_shop: Shop, rebuild: Run) -> None:
    shop = sqlite_shop
    (order,) = shop.place()
    shop.announce("printer", BEFORE)
    shop.announce("gone", BEFORE)
    shop.leave("gone", at(0))

    def stands() -> bool:
        return topology.DEPARTMENTS in {exchange["name"] for exchange in shop.broker.management.exchanges()}

    def come_late() -> None:
        wait_until(stands, 30, "the topology, of which this is made last")
        shop.bind("orders", TRACKER_PATTERNS)
        shop.bind("printer")

    thread = threading.Thread(target=come_late)
    thread.start()
    outcome = rebuild(shop, "--from", BEFORE, "--wait", "60")
    thread.join()

    assert outcome.code == 0, outcome.err
    assert "waiting for printer: has no queue" in outcome.out
    assert "gone" not in outcome.out
    assert shop.delivered("printer") == [order.event_id]


def test_department_that_does_not_come_is_named_and_nothing_published(sqlite_shop: Shop, rebuild: Run) -> None:
    shop = sqlite_shop
    shop.place()
    shop.announce("printer", BEFORE)
    shop.announce("marketing", BEFORE)
    shop.broker.declare_shared()
    shop.bind("orders", TRACKER_PATTERNS)
    shop.bind("marketing")
    shop.bind("printer", ("order.created.south",))

    outcome = rebuild(shop, "--from", BEFORE, "--wait", "0")

    assert outcome.code == 1
    assert "printer: its queue is not bound by 'order.created.*' on events" in outcome.err
    assert "marketing" not in outcome.err
    assert shop.delivered("marketing") == []


@pytest.fixture
def one_department(shop: Shop) -> Shop:
    """The shop, with the printer on the bus since before all orders."""
    shop.broker.declare_shared()
    shop.bind("orders", TRACKER_PATTERNS)
    shop.bind("printer")
    return shop


def test_orders_of_one_millisecond_and_long_gaps_are_neither_lost_nor_doubled(
    one_department: Shop, rebuild: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "ROWS_MAX", 3)  # a page
    shop = one_department
    shop.announce("printer", BEFORE)
    placed = [
        *shop.place(8, at=at(0)),
        *shop.place(2, at=at(0.001)),
        *shop.place(5, at=at(7200.5)),
        *shop.place(1, at=at(100_000)),
    ]

    outcome = rebuild(shop, "--from", BEFORE, "--rate", "0")

    assert outcome.code == 0, outcome.err
    delivered = shop.delivered("printer")
    assert len(delivered) == len(placed)
    assert set(delivered) == {order.event_id for order in placed}
    times = {order.event_id: order.created_at for order in placed}
    assert [times[str(each)] for each in delivered] == sorted(times.values())


def test_department_that_forgot_what_it_did_stops_it_unless_allowed(one_department: Shop, rebuild: Run) -> None:
    shop = one_department
    shop.announce("printer", BEFORE, remembers_since=TODAY - timedelta(hours=1))
    (old,) = shop.place(at=at(0))
    (young,) = shop.place(at=at(100))
    shop.report("printer", old, at(5))
    shop.report("printer", young, at(105))
    shop.announce("printer", at(200), remembers_since=TODAY + timedelta(seconds=105))

    outcome = rebuild(shop, "--from", at(0))

    assert outcome.code == 1
    assert f"printer: remembers since {at(105)}, and had reported on 1 of these orders before" in outcome.err
    assert shop.delivered("printer") == []
    assert rebuild(shop, "--from", at(1)).code == 0, "placed before its oldest row, but not done before it"
    assert shop.delivered("printer") == [young.event_id]
    assert rebuild(shop, "--from", at(0), "--allow", "printer").code == 0
    assert shop.delivered("printer") == [old.event_id, young.event_id]


def test_what_is_older_than_any_memory_stops_it(sqlite_shop: Shop, rebuild: Run) -> None:
    shop, day = sqlite_shop, 86_400
    shop.announce("printer", at(-100 * day))
    (order,) = shop.place(at=at(-95 * day))
    shop.report("printer", order, at(-94 * day))

    outcome = rebuild(shop, "--from", at(-96 * day), "--dry-run")

    assert outcome.code == 1
    assert "had reported on 1 of these orders" in outcome.err


@pytest.mark.parametrize("before", [(), ("order.created.south",)], ids=["joined later", "hears more than then"])
def test_department_gets_no_orders_of_before_it_joined(
    sqlite_shop: Shop, rebuild: Run, before: tuple[str, ...]
) -> None:
    shop = sqlite_shop
    if before:
        shop.announce("printer", BEFORE, patterns=before)
    shop.announce("printer", at(50))
    shop.place(3, at=at(0))
    shop.place(at=at(100))

    outcome = rebuild(shop, "--from", BEFORE, "--dry-run")

    assert outcome.code == 1
    assert f"printer: is on the bus for order.created.* since {at(50)}: 3 of these orders are older" in outcome.err
    assert rebuild(shop, "--from", at(50), "--dry-run").code == 0


def test_dry_run_says_what_would_be_done_and_does_nothing(sqlite_shop: Shop, rebuild: Run) -> None:
    shop = sqlite_shop
    shop.place(2, at=at(0))
    shop.announce("printer", BEFORE)

    outcome = rebuild(shop, "--from", BEFORE, "--dry-run")

    assert outcome.code == 0, outcome.err
    assert f"would publish 2 events, from {at(0)}" in outcome.out
    assert "not ready: printer: has no queue" in outcome.out
    assert not shop.broker.has_queue(topology.ARCHIVE_STREAM)


def test_user_that_may_not_declare_is_told_who_may(sqlite_shop: Shop, rebuild: Run) -> None:
    outcome = rebuild(sqlite_shop, "--from", BEFORE, amqp_url=sqlite_shop.broker.url_of("orders-relay"))

    assert outcome.code == 1
    assert "run bus topology declare" in outcome.err


@pytest.mark.parametrize("away", ["broker", "database", "management API"])
def test_broker_or_database_away_is_said_with_exit_code_69(sqlite_shop: Shop, rebuild: Run, away: str) -> None:
    sqlite_shop.broker.declare_shared()
    arguments, fields = ["--from", BEFORE], {}
    if away == "broker":
        fields = {"amqp_url": f"amqp://guest:guest@127.0.0.1:{free_port()}/"}
    elif away == "database":
        fields = {"database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/orders"}
    else:
        arguments += ["--management-url", f"http://guest:guest@127.0.0.1:{free_port()}"]

    outcome = rebuild(sqlite_shop, *arguments, **fields)

    assert outcome.code == 69
    assert outcome.err.startswith("rebuild: ")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--from"),
        (["--from", "yesterday"], "RFC 3339"),
        (["--from", BEFORE, "--to", BEFORE], "--to is not after --from"),
        (["--from", BEFORE, "--rate", "-1"], "0 or more"),
    ],
)
def test_wrong_usage_is_said_with_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rebuild", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_killed_run_goes_on_where_it_says(sqlite_shop: Shop, rebuild: Run, tmp_path: Path) -> None:
    shop = sqlite_shop
    shop.broker.declare_shared()
    shop.bind("orders", TRACKER_PATTERNS)
    shop.bind("printer")
    shop.announce("printer", BEFORE)
    placed = [shop.place(at=at(second))[0] for second in range(30)]
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"relay": settings_of(shop)}))
    command = [sys.executable, "-m", "orders", "rebuild", "--from", BEFORE, "--rate", "10", "--management-url"]
    with subprocess.Popen(
        [*command, shop.broker.management_url],
        env={"CONFIG_FILE": str(config), "LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("published"):
                break
        process.send_signal(signal.SIGKILL)
    first = shop.delivered("printer")
    assert 0 < len(first) < len(placed), "killed in the midst of it"

    outcome = rebuild(shop, "--from", line.split()[-1], "--rate", "0")

    assert outcome.code == 0, outcome.err
    assert {*first, *shop.delivered("printer")} == {order.event_id for order in placed}
