"""The broker comes back empty: what it held is published again from the orders database."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from eventbus.contract import rfc3339
from eventbus.operator.private_node import PrivateNode
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .parts import Parts
from .shop import Shop

SCENARIO = 15
PARTS = Parts(paper="folder")

RATE = 2
DEADLINE_S = 120


def test_broker_destroyed_with_all_its_data(run: Run) -> None:
    """The broker destroyed with all its data under load, a fresh one in its place, `python -m orders rebuild`"""
    shop, begun = run.shop, datetime.now(UTC)
    behind = shop.one(run.rng.choice(shop.parts.departments))  # what waits for it is lost with the broker
    with run.customers.placing(RATE):
        try:
            behind.stop()
            run.customers.wait_placed(run.rng.randint(10, 20))
            queue = behind.name.removesuffix("-1")
            wait_until(lambda: shop.broker.depth(queue) > 0, DEADLINE_S, "something in the queue that will be lost")
            destroy(shop.node)
            run.customers.wait_placed(5)  # without any broker
            give_fresh_broker(shop)
            assert not shop.broker.has_queue(queue)
            with rebuilding(shop, begun) as (rebuild, log):
                wait_until(lambda: f"waiting for {queue}: " in log.read_text(), DEADLINE_S, f"waits for {queue}")
                behind.start()
                assert rebuild.wait(DEADLINE_S) == 0, log.read_text()
        finally:
            if not behind.wanted:
                behind.start()
            shop.node.start()
        run.customers.wait_placed(5)
    run.assert_kept()


def destroy(node: PrivateNode) -> None:
    """Kill it, and take all that it kept: queues, users, bindings, archive."""
    node.kill()
    shutil.rmtree(node.directory / "data")


def give_fresh_broker(shop: Shop) -> None:
    """What an operator has to do before `rebuild`: users (`bus users declare`), topology (`bus topology declare`)."""
    shop.node.start()
    shop.broker.make_again()
    shop.broker.declare_shared()
    shop.probe = shop.broker.tap("order.created.*")


@contextmanager
def rebuilding(shop: Shop, since: datetime) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """The command as the relay's user, and the file with what it says."""
    log = shop.folder / f"rebuild-{since:%H%M%S%f}.log"
    environ = {**os.environ, "CONFIG_FILE": str(shop.one("relay").config_file), "LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "orders", "rebuild", "--from", rfc3339(since), "--rate", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--management-url", shop.broker.management_url], env=environ, stdout=output, stderr=output
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()
