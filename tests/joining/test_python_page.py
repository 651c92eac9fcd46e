"""The department of docs/joining.md, typed in as it stands there."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eventbus.testing import an_event, wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.department_process import Reports
from eventbus.testing.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "joining.md"
_FILE = re.compile(r"`((?:src/)?[\w./]+\.(?:py|yaml|conf|toml))`[^`\n]*:\n +```\w+\n(.*?)\n +```", re.DOTALL)
_EMPTY = re.compile(r"`(src/[\w./]+\.py)`: empty\.")
READY_S = 60


def written(folder: Path, section: str) -> None:
    """The files that the section shows."""
    files = dict.fromkeys(_EMPTY.findall(section), "") | dict(_FILE.findall(section))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"^   ", "", text, flags=re.MULTILINE) + "\n")


@pytest.fixture
def start(broker: Broker, tmp_path: Path) -> Iterator[Any]:
    """Starts `python -m loyalty` from a folder and waits until it consumes."""
    started: list[subprocess.Popen[bytes]] = []
    broker.declare_shared()

    def start_one(folder: Path) -> None:
        environ = {
            **os.environ,
            "AMQP_URL": broker.url_of("loyalty"),
            "LOYALTY_PORT": str(free_port()),
            "DATA_DIR": str(tmp_path),
            "PYTHONPATH": str(folder / "src"),
        }
        started.append(subprocess.Popen([sys.executable, "-m", "loyalty"], env=environ, cwd=tmp_path))
        broker.wait_for(
            lambda: broker.has_queue("loyalty") and broker.consumers("loyalty") == 1, READY_S, "it consumes"
        )

    yield start_one
    for process in started:
        process.terminate()
        process.wait(30)


def of_python() -> tuple[str, str]:
    """Steps 1 and 2, which are a whole department; step 3, which gives it a database."""
    python = PAGE.read_text().split("## In Python")[1].split("\n## ")[0]
    first, third = python.split("\n3. ")
    return first, third


def test_department_as_shown_reports_its_points(broker: Broker, start: Any, tmp_path: Path) -> None:
    written(tmp_path / "loyalty", of_python()[0])
    start(tmp_path / "loyalty")
    reports = Reports(broker)
    event = an_event(region="north", product_ids=(2, 4, 42))
    broker.publish(event, "order.created.north")
    wait_until(lambda: reports.of(event.data.order_number) == ["done"], READY_S)
    assert reports.last(event.data.order_number).detail == "points: 3"


def test_department_with_a_database_as_shown_counts_an_event_that_comes_twice_once(
    broker: Broker, start: Any, tmp_path: Path
) -> None:
    for section in of_python():
        written(tmp_path / "loyalty", section)
    start(tmp_path / "loyalty")
    reports = Reports(broker)
    events = [an_event(region="north", product_ids=(2, 4, 42)), an_event(region="south", product_ids=(7,))]
    for event in (*events, events[0]):
        broker.publish(event, f"order.created.{event.data.region}")
    wait_until(lambda: sum(len(reports.of(event.data.order_number)) for event in events) == 3, READY_S)
    with sqlite3.connect(tmp_path / "loyalty.db") as database:
        found = dict(database.execute("SELECT order_number, points FROM points"))
    assert found == {event.data.order_number: len(event.data.product_ids) for event in events}
