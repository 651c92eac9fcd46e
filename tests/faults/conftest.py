"""Runs of a scenario: seeds, a shop for each module, and the table of what was counted."""

import random
import secrets
import subprocess
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from eventbus.operator.private_node import find_server

from . import table
from .counting import Auditor, Count
from .customers import Customers
from .parts import Parts
from .shop import Shop


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--runs", type=int, default=2, help="runs of each scenario, each with a seed of its own")
    group.addoption("--seed", type=int, default=1, help="the first seed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        shared = metafunc.definition.get_closest_marker("runs_shared_by")
        runs, first = metafunc.config.getoption("runs"), metafunc.config.getoption("seed")
        runs = -(-runs // shared.args[0]) if shared else runs
        metafunc.parametrize("seed", range(first, first + runs))


@pytest.fixture
def rng(seed: int) -> random.Random:
    """What is random in this run."""
    return random.Random(seed)


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop of all runs of a module, with the module's `PARTS`."""
    shop = Shop(getattr(request.module, "PARTS", Parts()), tmp_path_factory.mktemp("shop"))
    yield shop
    shop.close()


@pytest.fixture(scope="module")
def auditor(shop: Shop) -> Auditor:
    return Auditor(shop)


class Run:
    """One run of a scenario: its customers, and the count at its end."""

    def __init__(self, shop: Shop, auditor: Auditor, rng: random.Random, node: pytest.Item) -> None:
        self.shop, self.rng = shop, rng
        self.customers = Customers(
            shop.ready_gateways, token=f"run-{secrets.token_hex(6)}", product=secrets.randbelow(10**12) + 10**6
        )
        self._auditor = auditor
        self._node = node
        self._attention: set[str] = set()

    def count(self, customers: Customers | None = None) -> Count:
        """Wait for quiet, count, and put it into the table: of several counts the last, but each `attention`.

        Raises AssertionError where an order is not settled.
        """
        customers = customers or self.customers
        self._auditor.settle(customers)
        found = self._auditor.count(customers)
        self._attention |= {":".join(line.split(":")[:2]) for line in found.attention}  # order and department
        self._node.user_properties.append(
            (
                "count",
                {
                    "orders": found.orders,
                    "lost": len(found.lost),
                    "doubled": len(found.doubled),
                    "repeats": found.repeats,
                    "possible_duplicates": len(found.possible_duplicates),
                    "attention": len(self._attention),
                },
            )
        )
        return found

    def assert_kept(self, *, shows: bool = False) -> Count:
        """Count: nothing lost, nothing twice.

        Args:
            shows: whether the product may declare some effects doubtful ("possible duplicate", `attention`): only where
                the architecture names the case.
        """
        found = self.count()
        assert not found.lost, found.lost[:5]
        assert not found.doubled, found.doubled[:5]
        if not shows:
            assert not found.attention, found.attention[:5]
            assert not found.possible_duplicates, found.possible_duplicates[:5]
        assert not self.shop.surprises()
        return found


@pytest.fixture
def run(shop: Shop, auditor: Auditor, rng: random.Random, request: pytest.FixtureRequest) -> Run:
    """A run in a shop where everything is ready. What a scenario did to it, it undoes itself."""
    shop.wait_ready()
    return Run(shop, auditor, rng, request.node)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if isinstance(item, pytest.Function) and item.obj.__doc__ and hasattr(item.module, "SCENARIO"):
        marker = item.get_closest_marker("scenario")
        number = marker.args[0] if marker else item.module.SCENARIO
        scenario = (number, item.obj.__doc__.strip().splitlines()[0].rstrip("."))
        report.user_properties = [*item.user_properties, ("scenario", scenario)]
    if report.when == "call" and report.failed and isinstance(item, pytest.Function):
        if isinstance(shop := item.funcargs.get("shop"), Shop):
            report.sections.append(("the shop's logs", shop.logs()))
        if hasattr(item, "callspec") and "seed" in item.callspec.params:
            repeat = f"make test-faults ONLY={item.originalname} N=1 SEED={item.callspec.params['seed']}"
            report.sections.append(("repeat it", repeat))
        _keep(report)
    return report


def _keep(report: pytest.TestReport) -> None:
    """Write a failure to `var/faults/failures` at once: pytest shows it when all runs are over, hours later."""
    folder = table.RESULTS.parent / "failures"
    folder.mkdir(parents=True, exist_ok=True)
    sections = "".join(f"\n--- {title}\n{text}" for title, text in report.sections)
    name = "".join(c if c.isalnum() else "-" for c in report.nodeid.rpartition("/")[2])
    (folder / f"{name}.log").write_text(f"{report.longreprtext}\n{sections}\n")


class Table:
    """Collects what the runs counted, in the process that shows the results."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._rows: dict[tuple[int, str], dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties: dict[str, Any] = dict(report.user_properties)
        if "scenario" not in properties or not (report.when == "call" or report.failed or report.skipped):
            return
        number, title = properties["scenario"]
        row = self._rows.setdefault((number, title), table.new_row(self._broker, number, title))
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        table.add(row, report.outcome, properties.get("count", {}), reason)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._rows:
            rows = list(self._rows.values())
            table.merge(rows)
            terminalreporter.section("faults")
            terminalreporter.write(table.markdown(rows))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scenario(n): this test's scenario, where its module's SCENARIO is another")
    config.addinivalue_line("markers", "runs_shared_by(n): N runs in all, shared by the n parameters of this test")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Table(_broker_version()))


def _broker_version() -> str:
    """Of the RabbitMQ that private nodes are of."""
    server = find_server()
    shown = subprocess.run(
        [server.parent / "rabbitmqctl", "version"], capture_output=True, text=True, check=False
    ).stdout.split()
    return shown[-1] if shown else "unknown"
