"""Several RabbitMQ nodes as one cluster on this machine, and the network between them.

Without root and without epmd: a node with `-erl_epmd_port P` listens on P, and looks for every other node on P of that
node's host. Node 2 is named `bus@127.0.1.2`, but listens on 127.0.0.1; on 127.0.1.2 proxies listen, one on the port of
each node that wants to reach it. So a proxy knows who speaks to whom, and can swallow it. (All of 127.0.0.0/8 is
loopback on Linux; other systems need the addresses 127.0.1.1 to 127.0.1.3 first.)
"""

import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from eventbus.operator.errors import UnreachableError
from eventbus.operator.management import Management
from eventbus.operator.private_node import PrivateNode
from eventbus.testing.rabbitmqctl import rabbitmqctl
from eventbus.testing.waiting import wait_until

from .proxy import Proxy

START_DEADLINE_S = 180.0
SETTINGS: Mapping[str, object] = {
    "cluster_partition_handling": "pause_minority",
    "queue_leader_locator": "balanced",
}
ERLANG = "-kernel net_ticktime 5 -kernel net_setuptime 2"
"""How long a silent node counts as alive, and how long one tries to reach it, seconds: 10 and 2 in production."""


class Cluster:
    """Nodes that joined the first one. Leaving the block ends them."""

    def __init__(self, folder: Path, size: int, settings: Mapping[str, object]) -> None:
        names = [f"bus@127.0.1.{number}" for number in range(1, size + 1)]
        cookie, password = secrets.token_hex(20), secrets.token_urlsafe(24)
        self.nodes: list[PrivateNode] = []
        self._proxies: dict[tuple[PrivateNode, PrivateNode], Proxy] = {}
        self._stack = ExitStack()
        for name in names:
            directory = folder / name.rpartition(".")[2]
            directory.mkdir(mode=0o700, parents=True)
            (directory / ".erlang.cookie").write_text(cookie)
            (directory / ".erlang.cookie").chmod(0o400)
            node = PrivateNode(
                directory, name=name, password=password, settings={**SETTINGS, **settings}, erlang=ERLANG
            )
            node.prepare()
            self.nodes.append(node)

    def __enter__(self) -> Self:
        try:
            for source in self.nodes:
                for target in self.nodes:
                    host = target.name.partition("@")[2]  # rabbitmqctl uses a node's own port to reach it
                    proxy = Proxy(target.distribution_port, (host, source.distribution_port))
                    self._stack.callback(proxy.close)
                    self._proxies[source, target] = proxy
            for node in self.nodes:
                self._stack.callback(node.kill)
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(lambda node: node.start(START_DEADLINE_S), self.nodes))
            # not by peer discovery: RabbitMQ 4 asks by a helper that knows nothing of our ports
            for node in self.nodes[1:]:
                for command in (("stop_app",), ("join_cluster", self.nodes[0].name), ("start_app",)):
                    rabbitmqctl(node, *command)
                node.wait_ready()
            wait_until(lambda: len(self.running()) == len(self.nodes), START_DEADLINE_S, "all nodes are in the cluster")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, error: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- what there is

    def running(self, seen_by: PrivateNode | None = None) -> set[str]:
        """The names of the nodes that run, as one of them sees it; empty when it does not answer."""
        try:
            answer = requests.get(f"{(seen_by or self.nodes[0]).management_url}/api/nodes", timeout=5)
        except requests.RequestException:
            return set()
        return {node["name"] for node in answer.json() if node["running"]} if answer.ok else set()

    def others(self, node: PrivateNode) -> list[PrivateNode]:
        return [other for other in self.nodes if other is not node]

    def leader(self, vhost: str, queue: str) -> PrivateNode | None:
        """The node where the queue's leader is; None while it has none, or none answers."""
        for asked in self.nodes:
            found = self._queue(asked, vhost, queue)
            if found is not None and found.get("leader"):
                return next((node for node in self.nodes if node.name == found["leader"]), None)
        return None

    def wait_whole(self, vhost: str, deadline_s: float = 120) -> None:
        """Wait until every node sees all others, and each queue has all its members online and a leader."""

        def broken() -> list[str]:
            unseen = [n.name for n in self.nodes if len(self.running(n)) != len(self.nodes)]
            return unseen or self._incomplete(vhost)

        wait_until(lambda: not broken(), deadline_s, f"a whole cluster, not {broken()}")

    def _incomplete(self, vhost: str) -> list[str]:
        queues = Management(self.nodes[0].management_url, vhost).queues()
        return [
            f"{queue['name']}: {queue.get('online')} online, leader {queue.get('leader')}"
            for queue in queues
            if queue.get("type") == "quorum"
            and (len(queue.get("online", ())) != len(self.nodes) or queue.get("leader") not in queue["online"])
        ]

    @staticmethod
    def _queue(asked: PrivateNode, vhost: str, queue: str) -> dict[str, Any] | None:
        try:
            return Management(asked.management_url, vhost).queue(queue)
        except UnreachableError:
            return None

    # --- what is done to it

    def cut_off(self, node: PrivateNode) -> None:
        """Between that node and the others every packet is lost, until `heal`. Clients still reach it."""
        for ends, proxy in self._proxies.items():
            if node in ends and ends[0] is not ends[1]:
                proxy.swallow()

    def heal(self) -> None:
        """The network is whole again."""
        for proxy in self._proxies.values():
            proxy.pass_on()
