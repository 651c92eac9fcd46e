"""Several warehouses from the same code: a name and a pattern each, by variables alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event, an_order
from eventbus.testing.department_process import Reports
from eventbus.testing.waiting import wait_until

DEADLINE_S = 60.0
Open = Callable[..., Any]


def publish(broker: Broker, region: str, count: int = 1) -> set[str]:
    """Publishes orders of that region; their numbers."""
    orders = [an_order(region=region) for _ in range(count)]
    for order in orders:
        broker.publish(an_event(order), f"order.created.{region}")
    return {order.order_number for order in orders}


def test_each_order_is_printed_once_at_its_own_warehouse_and_reprinted_there(
    broker: Broker, open_warehouse: Open
) -> None:
    reports = Reports(broker)
    north = open_warehouse("printer_north", PRINTER_PATTERNS="order.created.north")
    south = open_warehouse("printer_south", PRINTER_PATTERNS="order.created.south,order.created.islands")
    north.wait_ready()
    south.wait_ready()
    northern = publish(broker, "north", 5)
    southern = publish(broker, "south", 5) | publish(broker, "islands")
    wait_until(lambda: all(reports.of(number) == ["done"] for number in northern | southern), DEADLINE_S)
    assert (north.printed(), south.printed()) == (northern, southern)
    assert {reports.last(number).department for number in northern} == {"printer_north"}
    assert {reports.last(number).department for number in southern} == {"printer_south"}

    number = min(northern)
    assert "copy 2 will be printed" in north.command("reprint", number, "--reason", "torn")
    wait_until(lambda: f"{number}.2" in north.printed(), DEADLINE_S)
    wait_until(lambda: north.command("status", number).count("printed") == 2, DEADLINE_S)
    assert south.printed() == southern
    assert reports.of(number) == ["done"], "a reprint is not the order's business"
    assert (north.stop(), south.stop()) == (0, 0)


def test_default_pattern_is_unbound_where_a_configured_one_replaces_it(broker: Broker, open_warehouse: Open) -> None:
    open_warehouse("printer").wait_ready().stop()
    assert ("events", "order.created.*") in broker.bindings("printer")
    open_warehouse("printer", PRINTER_PATTERNS="order.created.north").wait_ready()
    assert {key for exchange, key in broker.bindings("printer") if exchange == "events"} == {"order.created.north"}


def test_second_department_on_one_database_ends_with_one_line(
    broker: Broker, open_warehouse: Open, tmp_path: Path
) -> None:
    shared = f"sqlite:///{tmp_path}/shared.db"
    open_warehouse("printer_north", PRINTER_PATTERNS="order.created.north", DATABASE_URL=shared).wait_ready()
    south = open_warehouse("printer_south", PRINTER_PATTERNS="order.created.south", DATABASE_URL=shared)
    assert south.process.wait(DEADLINE_S) == 78
    (line,) = [line for line in south.output().splitlines() if line.startswith("configuration:")]
    assert line.endswith("expected a database of its own for printer_south, got that of printer_north")


def test_warehouse_without_its_pattern_ends_with_one_line(open_warehouse: Open) -> None:
    north = open_warehouse("printer_north")
    assert north.process.wait(DEADLINE_S) == 78
    assert "patterns: expected the routing keys of one warehouse, such as order.created.north" in north.output()
    assert len(north.output().splitlines()) == 1
