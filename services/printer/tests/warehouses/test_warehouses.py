"""Several warehouses from the same code: a name and a pattern each, by variables alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event, an_order
from eventbus.testing.department_process import Reports
from eventbus.testing.waiting import wait_until
from printer.warehouses import moved_in

from eventbus import database, topology

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
    wait_until(lambda: f"{number}.2.pdf" in north.output(), DEADLINE_S)
    assert f"{number}.2" in north.printed()
    assert north.command("status", number).count("printed") == 2
    assert south.printed() == southern
    assert reports.of(number) == ["done"], "a reprint is not the order's business"
    assert (north.stop(), south.stop()) == (0, 0)


def test_default_pattern_is_unbound_where_a_configured_one_replaces_it(broker: Broker, open_warehouse: Open) -> None:
    broker.declare(topology.department("printer", ("order.created.*",)))  # as it was when it printed for all
    open_warehouse("printer", PRINTER_PATTERNS="order.created.north").wait_ready()
    assert {key for exchange, key in broker.bindings("printer") if exchange == "events"} == {"order.created.north"}


def test_second_department_on_one_database_ends_with_one_line(open_warehouse: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    database.upgrade(url, "printer")
    with database.create_engine(url).begin() as connection:
        assert moved_in(connection, "printer_north") == "printer_north"
    south = open_warehouse("printer_south", PRINTER_PATTERNS="order.created.south", DATABASE_URL=url)
    assert south.process.wait(DEADLINE_S) == 78
    (line,) = [line for line in south.output().splitlines() if line.startswith("configuration:")]
    assert line.endswith("expected a database of its own for printer_south, got that of printer_north")


@pytest.mark.parametrize("department", ["printer_north", "printer_south"])
def test_database_belongs_to_the_department_that_used_it_first(database_url: str, department: str) -> None:
    database.upgrade(database_url, "printer")
    engine = database.create_engine(database_url)
    for _ in range(2):
        with engine.begin() as connection:
            assert moved_in(connection, "printer_north") == "printer_north"
    with engine.begin() as connection:
        assert moved_in(connection, department) == "printer_north"
    engine.dispose()
