"""The tracker as a process: what departments say on the bus shows on the order's status."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from eventbus.testing.broker import Broker
from eventbus.testing.builders import a_result, an_announcement
from eventbus.testing.department_process import DepartmentProcess
from eventbus.testing.waiting import wait_until
from orders.store.tables import departments, progress
from sqlalchemy.engine import Engine

from eventbus import database

NUMBER = "7KQ2-M9XD-4TWE"


@pytest.fixture
def tracker(broker: Broker, database_url: str, tmp_path: Path) -> Iterator[DepartmentProcess]:
    """The tracker on this test's database and broker."""
    broker.declare_shared()
    settings = {"department": "orders", "database_url": database_url}
    process = DepartmentProcess(broker, "orders.tracker:Tracker", tmp_path / "tracker", settings)
    yield process.wait_ready()
    process.stop()


@pytest.fixture
def engine(tracker: DepartmentProcess, database_url: str) -> Iterator[Engine]:
    """The database that the tracker has migrated."""
    engine = database.create_engine(database_url, writes=False)
    yield engine
    engine.dispose()


def test_reports_and_announcements_are_written_down(broker: Broker, tracker: DepartmentProcess, engine: Engine) -> None:
    broker.publish(an_announcement(department="printer"), "department.joined.printer")
    for state in ("waiting", "done"):
        broker.publish(a_result(order_number=NUMBER, state=state, reference="job 17"), "order.progressed.printer")

    def row() -> object:
        with engine.connect() as connection:
            return connection.execute(
                sa.select(progress.c.state, progress.c.reference).where(progress.c.number == NUMBER.replace("-", ""))
            ).one_or_none()

    def names() -> set[str]:
        with engine.connect() as connection:
            return set(connection.execute(sa.select(departments.c.name)).scalars())

    wait_until(lambda: row() == ("done", "job 17"))
    wait_until(lambda: "printer" in names())


def test_tracker_reports_nothing_itself(broker: Broker, tracker: DepartmentProcess) -> None:
    tap = broker.tap("order.progressed.orders")
    broker.publish(a_result(order_number=NUMBER), "order.progressed.printer")
    broker.publish(a_result(order_number="PO-1"), "order.progressed.printer")
    parked = broker.wait_message("orders.dead")
    assert parked.headers["bus-reason"] == "order_number is none of this service's"
    wait_until(lambda: broker.depth("orders") == 0)
    assert broker.depth(tap) == 0
