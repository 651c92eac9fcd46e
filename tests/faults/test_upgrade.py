"""The version before and this one beside each other, on one database and one broker: nobody outside notices.

`PREVIOUS=<commit>` names another version than the last tag (without tags: the commit before).
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from eventbus.testing.postgresql import create_database
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .parts import Parts
from .program import Program
from .releases import Release, previous_release, this_release
from .shop import Shop
from .test_rolling_restart import DRAINING, LoadBalancer, assert_unnoticed, redelivered, wait_accepted

SCENARIO = 16
PARTS = Parts(
    gateways=2,
    relays=2,
    workers={"sap_bridge": 2, "marketing": 2, "printer": 2, "tracker": 2},
    paper="folder",
    settings=DRAINING,
)
RATE = 2
CONSUMERS = ("tracker", "sap_bridge", "marketing", "printer")
PRODUCERS = ("relay", "gateway")
ORDERS = {"consumers first": (CONSUMERS, PRODUCERS), "producers first": (PRODUCERS, CONSUMERS)}
SERVICES = ("orders", "sap_bridge", "marketing", "printer")

_UPGRADE = """
import json, sys, sqlalchemy as sa
from eventbus import database
schemas = {}
for service, url in json.loads(sys.argv[1]).items():
    database.upgrade(url, service)
    inspector = sa.inspect(database.create_engine(url))
    schemas[service] = {t: {c["name"]: [str(c["type"]), c["nullable"] or c["default"] is not None]
                            for c in inspector.get_columns(t)} for t in inspector.get_table_names()}
print(json.dumps(schemas))
"""
"""What processes do at their start, and then each column: its type, and whether an insert may leave it out."""
_WHERE = "import eventbus, orders, sap_bridge, marketing, printer as p; print(*(m.__file__ for m in (eventbus, p)))"


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    release = previous_release(tmp_path_factory.mktemp("previous"))
    for file in release.run(_WHERE).split():
        assert Path(file).is_relative_to(release.root), "its own sources, not those that are installed"
    return release


class OlderShop(Shop):
    """A shop of the version before."""

    def __init__(self, parts: Parts, folder: Path, release: Release) -> None:
        self._release = release
        super().__init__(parts, folder)

    def _make_programs(self) -> Iterator[tuple[str, Program]]:
        for name, program in super()._make_programs():
            if name != "sandbox":
                self._release.take_over(program, service_of(program))
            yield name, program


@pytest.fixture(scope="module")
def shop(previous: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = OlderShop(PARTS, tmp_path_factory.mktemp("shop"), previous)
    yield shop
    shop.close()


@pytest.mark.runs_shared_by(len(ORDERS))
@pytest.mark.parametrize("order", ORDERS)
def test_rolling_upgrade_and_back(run: Run, previous: Release, order: str) -> None:
    """Rolling upgrade from the version before under load, consumers or producers first, and back"""
    shop, customers = run.shop, run.customers
    before = redelivered(shop)
    with LoadBalancer(shop.all("gateway")).polling() as balancer:
        customers.send_to(lambda: balancer.ready)
        with customers.placing(RATE):
            try:
                for release in (this_release(), previous):
                    for kinds in ORDERS[order]:
                        roll(shop, kinds, release)
                        wait_accepted(customers, len(customers.accepted) + 5)
            except BaseException:
                for kinds in ORDERS[order]:  # the next run begins with the version before
                    roll(shop, kinds, previous)
                raise
    assert_unnoticed(run, customers, before)


def test_newer_schema_has_all_that_the_version_before_uses(postgresql_server: str, previous: Release) -> None:
    urls = {service: create_database(postgresql_server) for service in SERVICES}

    def upgraded_by(release: Release) -> dict[str, dict[str, dict[str, tuple[str, bool]]]]:
        return dict(json.loads(release.run(_UPGRADE, json.dumps(urls))))

    old, new = upgraded_by(previous), upgraded_by(this_release())

    assert upgraded_by(previous) == new, "the version before leaves a newer schema alone"
    for service, tables in old.items():
        for table, columns in tables.items():
            known = new[service].get(table, {})
            for column, (kind, optional) in columns.items():
                kind_now, optional_now = known.get(column, (None, False))
                assert kind_now == kind, f"{service}: {table}.{column} is in use"
                assert optional_now or not optional, f"{service}: {table}.{column} may be left out"
            for column in known.keys() - columns.keys():
                assert known[column][1], f"{service}: {table}.{column}: the version before does not fill it in"


def roll(shop: Shop, kinds: tuple[str, ...], release: Release) -> None:
    """The first of each kind at the same time, when they do their work the second."""

    def change(program: Program) -> None:
        code, _ = program.stop()
        assert code == 0, f"{program.name} ended with {code}\n{program.log_tail()}"
        release.take_over(program, service_of(program))
        program.start().wait_ready()
        wait_until(lambda: runs_as(program, release), 10, f"{program.name} of that version")

    for number in (0, 1):
        programs = [shop.all(kind)[number] for kind in kinds]
        with ThreadPoolExecutor(len(programs)) as pool:
            list(pool.map(change, programs))


def runs_as(program: Program, release: Release) -> bool:
    environ = Path(f"/proc/{program.pid}/environ").read_bytes().split(b"\0")
    return f"PYTHONPATH={release.environ['PYTHONPATH']}".encode() in environ


def service_of(program: Program) -> str:
    kind = program.name.rpartition("-")[0] or program.name
    return kind if kind in SERVICES else "orders"
