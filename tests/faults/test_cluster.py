"""One node of three RabbitMQ nodes dies, is cut off from the others, or is restarted. Nobody else is for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from eventbus.operator.private_node import PrivateNode
from eventbus.testing.waiting import wait_until

from .cluster import Cluster
from .conftest import Run
from .links import connected, no_restart, wait_up
from .parts import Parts

SCENARIO = 5
PARTS = Parts(gateways=1, relays=2, departments=("sap_bridge", "marketing"), nodes=3)
RATE = 4


def cluster_of(run: Run) -> Cluster:
    assert run.shop.cluster is not None
    return run.shop.cluster


@contextmanager
def under_load(run: Run) -> Iterator[None]:
    """Within the block orders are placed; each is kept, and no process ended, when the cluster is whole again."""
    with no_restart(run.shop):
        with run.customers.placing(rate=RATE):
            wait_until(lambda: len(run.customers.accepted) > run.rng.randint(3, 20), 60, "orders under way")
            yield
        wait_up(connected(run.shop))
        run.customers.place(5)
        run.assert_kept()


def published(run: Run) -> float:
    return sum(relay.metric("relay_published_total") for relay in run.shop.all("relay"))


def wait_flow(run: Run, events: int = 10) -> None:
    """Wait until so many further events reached the broker."""
    before = published(run)
    wait_until(lambda: published(run) >= before + events, 60, "orders reach the broker")


def leader_of(run: Run, queue: str) -> PrivateNode:
    node = wait_until(lambda: cluster_of(run).leader(run.shop.broker.vhost, queue), 30, f"{queue} has a leader")
    assert node is not None
    return node


@pytest.mark.runs_shared_by(2)
def test_leader_dies(run: Run) -> None:
    """The node of the leader of a department's queue dies, and comes back"""
    cluster, vhost = cluster_of(run), run.shop.broker.vhost
    queue = run.rng.choice(("orders", *run.shop.parts.departments))
    dying = leader_of(run, queue)
    with under_load(run):
        dying.kill()
        try:
            wait_until(lambda: cluster.leader(vhost, queue) not in (None, dying), 60, "another leader")
            wait_flow(run)
        finally:
            dying.start()
        cluster.wait_whole(vhost)


@pytest.mark.runs_shared_by(2)
def test_node_partitioned_away(run: Run) -> None:
    """A node is cut off from the two others, pauses, and comes back"""
    cluster = cluster_of(run)
    lonely = run.rng.choice(cluster.nodes)
    near, far = cluster.others(lonely)
    with under_load(run):
        cluster.cut_off(lonely)
        try:
            two = {near.name, far.name}
            wait_until(lambda: all(cluster.running(node) == two for node in (near, far)), 60, "the others see it")
            wait_until(lambda: not lonely.answers(), 60, f"{lonely.name} pauses")
            wait_flow(run)
        finally:
            cluster.heal()
        cluster.wait_whole(run.shop.broker.vhost)


@pytest.mark.runs_shared_by(4)
def test_rolling_restart(run: Run) -> None:
    """A rolling restart of the three nodes"""
    cluster = cluster_of(run)
    order = run.rng.sample(cluster.nodes, len(cluster.nodes))
    with under_load(run):
        for node in order:
            node.stop()
            node.start()
            cluster.wait_whole(run.shop.broker.vhost)
        wait_flow(run)
