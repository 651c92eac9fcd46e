"""The whole shop as real processes on a broker and databases of its own, and what a scenario does to it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from eventbus.operator.private_node import PrivateNode
from eventbus.settings import config_path
from eventbus.testing.broker import Broker, Node
from eventbus.testing.node_files import wait_queue_on_disk
from eventbus.testing.postgresql import PostgreSQLServer, create_database
from eventbus.testing.waiting import wait_until
from printer.testing.cutting_proxy import CuttingProxy
from printer.testing.ippeveprinter import IppEvePrinter, message_bus
from sap_sandbox.admin_client import AdminClient

from .cluster import Cluster
from .parts import SHORT, Parts
from .program import Program, ended_by_itself
from .proxy import Proxy

SUPERVISOR_POLL_S = 0.05
LOOKS_APART_S = 1.2
SAP_ROOT = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"


class Shop:
    """Started with everything ready; `close` ends it. A program that dies is started again at once.

    Attributes:
        programs: every process by name: `gateway-1`, `relay-1`, `tracker`, `printer-1`, `sandbox`, …
        node: the RabbitMQ node, of a cluster the first. `broker`: its virtual host, as an administrator sees it.
        probe: the queue that gets a copy of each `order.created.*`, as a department nobody has met would.
        server: the PostgreSQL server, or None.
        paper: the IPP printer, or None. `slips`: the folder in its place. `sap`: the sandbox's administration.
    """

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts = parts
        self.folder = folder
        self.programs: dict[str, Program] = {}
        self.server: PostgreSQLServer | None = None
        self.paper: IppEvePrinter | None = None
        self.cluster: Cluster | None = None
        self.amqp_proxies: dict[str, Proxy] = {}
        self.database_proxy: Proxy | None = None
        self.sap_proxy: Proxy | None = None
        self.printer_proxy: CuttingProxy | None = None
        self.slips = folder / "slips"
        self._stack = ExitStack()
        self._database_urls: dict[str, str] = {}
        self._closing = threading.Event()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    # --- what there is

    def all(self, kind: str) -> list[Program]:
        """The programs of that kind: `gateway`, `relay`, `printer`, …"""
        return [program for name, program in self.programs.items() if name.rpartition("-")[0] == kind or name == kind]

    def one(self, kind: str) -> Program:
        """The first program of that kind."""
        return self.all(kind)[0]

    def ready_gateways(self) -> list[str]:
        """URLs of the gateways that a load balancer would send customers to: all that are wanted."""
        return [gateway.url for gateway in self.all("gateway") if gateway.wanted]

    @property
    def nodes(self) -> list[PrivateNode]:
        """The nodes of RabbitMQ."""
        return [self.node] if self.cluster is None else self.cluster.nodes

    def database_url(self, service: str) -> str:
        """Of that service's database, past any proxy."""
        if service not in self._database_urls:
            url = f"sqlite:///{self.folder}/{service}.db"
            if self.server is not None:
                url = create_database(self.server.url())
            self._database_urls[service] = url
        return self._database_urls[service]

    def broker_url(self, program: str) -> str:
        """What that kind of program connects to the broker with: a user of its own, with its rights alone."""
        user = {"relay": "orders-relay", "tracker": "orders", "gateway": ""}.get(program, program)
        if not user:
            return self.broker.amqp_url
        parts = urlsplit(self.broker.url_of(user))
        ports = [node.amqp_port for node in self.nodes]
        if program in self.amqp_proxies:
            ports = [self.amqp_proxies[program].port]
        hosts = [f"{parts.username}:{parts.password}@127.0.0.1:{port}" for port in ports]
        return ",".join(parts._replace(netloc=host).geturl() for host in hosts)

    def papers(self) -> list[str]:
        """The orders whose slips are on paper, or whole in the folder: one for each time. A second copy is one, too."""
        if self.paper is not None:
            names = self.paper.papers()
        else:
            names = [file.stem for file in self.slips.glob("*.pdf") if b"%%EOF" in file.read_bytes()[-8:]]
        return [name.partition(".")[0] for name in names]

    def wait_ready(self) -> None:
        """Wait until every wanted program does its work."""
        for program in list(self.programs.values()):
            if program.wanted:
                program.wait_ready()

    def logs(self) -> str:
        """The end of each program's log, for a person who looks for the cause."""
        return "\n".join(program.log_tail() for program in self.programs.values())

    def surprises(self) -> list[str]:
        """Programs that ended by themselves, with another code than a test's kill or an orderly stop gives."""
        return [f"{p.name}: {codes}" for p in self.programs.values() if (codes := ended_by_itself(p))]

    # --- its life

    def close(self) -> None:
        """End everything."""
        self._closing.set()
        for program in self.programs.values():
            program.end()
        self._stack.close()

    def _start(self) -> None:
        self._start_targets()
        self._start_proxies()
        self.broker.declare_shared()
        self.probe = self.broker.tap("order.created.*")
        for name, program in self._make_programs():
            self.programs[name] = program
        threading.Thread(target=self._supervise, daemon=True).start()
        for kind in ("sandbox", "tracker"):  # the tracker's queue must stand before departments announce themselves
            for program in self.all(kind):
                program.start().wait_ready()
        for program in self.programs.values():
            if not program.wanted:
                program.start()
        self.wait_ready()
        for node in self.nodes:
            for queue in ("orders", *self.parts.departments, self.probe):
                wait_queue_on_disk(node, queue)

    def _start_targets(self) -> None:
        if self.parts.nodes > 1:
            self.cluster = self._stack.enter_context(
                Cluster(self.folder / "cluster", self.parts.nodes, self.parts.node_settings)
            )
            self.node = self.cluster.nodes[0]
        else:
            node = PrivateNode(self.folder / "node", settings=self.parts.node_settings)
            self.node = self._stack.enter_context(node)
        self.broker = Broker(Node(self.node.amqp_url, self.node.management_url))
        self.broker.management.create_vhost(self.broker.login[0])
        if self.parts.database == "postgresql":
            self.server = self._stack.enter_context(PostgreSQLServer())
        if "printer" in self.parts.departments and self.parts.paper == "ipp":
            bus_folder = self.folder / "bus"
            bus_folder.mkdir()
            self.paper = IppEvePrinter(self.folder / "paper", self._stack.enter_context(message_bus(bus_folder)))
            self._stack.callback(self.paper.kill)

    def _start_proxies(self) -> None:
        def proxy(port: int | None) -> Proxy:
            assert port is not None
            made = Proxy(port)
            self._stack.callback(made.close)
            return made

        self.amqp_proxies = {program: proxy(self.node.amqp_port) for program in self.parts.amqp_by_proxy}
        if self.parts.database_by_proxy:
            assert self.server is not None, "SQLite has no connections"
            self.database_proxy = proxy(self.server.port)
        if self.paper is not None and self.parts.printer_by_proxy:
            self.printer_proxy = CuttingProxy(self.paper.port)
            self._stack.callback(self.printer_proxy.close)

    def _supervise(self) -> None:
        while not self._closing.wait(SUPERVISOR_POLL_S):
            for program in list(self.programs.values()):
                program.start_again_if_ended()

    # --- its programs

    def _make_programs(self) -> Iterator[tuple[str, Program]]:
        if "sap_bridge" in self.parts.departments:
            config = self._shipped("sap_sandbox") | self._short("sandbox")
            config["database_url"] = f"sqlite:///{self.folder}/sandbox.db"
            sandbox = Program(
                "sandbox", ("-m", "sap_sandbox"), self.folder, config, ("port",), ready_path="/_sim/stats"
            )
            yield "sandbox", sandbox
            self.sap = AdminClient(sandbox.url)
            self._sap_port = sandbox.port
            if self.parts.sap_by_proxy:
                self.sap_proxy = Proxy(sandbox.port)
                self._stack.callback(self.sap_proxy.close)
                self._sap_port = self.sap_proxy.port
        trackers = self.parts.workers.get("tracker", 1)
        for name in ("tracker",) if trackers == 1 else (f"tracker-{index}" for index in range(1, trackers + 1)):
            yield name, self._orders(name, "tracker", "health_port")
        for kind, count, port in (
            ("relay", self.parts.relays, "health_port"),
            ("gateway", self.parts.gateways, "port"),
        ):
            for index in range(1, count + 1):
                yield f"{kind}-{index}", self._orders(f"{kind}-{index}", kind, port)
        for name in self.parts.departments:
            for index in range(1, self.parts.workers.get(name, 1) + 1):
                yield f"{name}-{index}", self._department(f"{name}-{index}", name)

    def _orders(self, name: str, kind: str, port: str) -> Program:
        config = self._shipped("orders")
        config["database_url"] = self._database_for(kind, "orders")
        config["amqp_url"] = self.broker_url(kind)
        config[kind] = config[kind] | self._short(kind)
        return Program(name, ("-m", "orders", kind), self.folder, config, (kind, port))

    def _department(self, name: str, department: str) -> Program:
        config = self._shipped(department) | self._short(department)
        config["database_url"] = self._database_for(department, department)
        config["amqp_url"] = self.broker_url(department)
        if department == "sap_bridge":
            config["sap"] = config["sap"] | self._short("sap")
            config["sap"]["url"] = f"http://127.0.0.1:{self._sap_port}{SAP_ROOT}"
        if department == "printer":
            printer = self.printer_proxy or self.paper
            config["printer_uri"] = self.slips.as_uri() if printer is None else printer.uri
        return Program(name, ("-m", department), self.folder, config, ("health_port",))

    def _database_for(self, program: str, service: str) -> str:
        url = self.database_url(service)
        if self.database_proxy is not None and program in self.parts.database_by_proxy:
            parts = urlsplit(url)
            url = parts._replace(
                netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.database_proxy.port}"
            ).geturl()
        return url

    def _short(self, program: str) -> dict[str, Any]:
        return {**SHORT.get(program, {}), **self.parts.settings.get(program, {})}

    @staticmethod
    def _shipped(package: str) -> dict[str, Any]:
        document: Mapping[str, Any] = yaml.safe_load(config_path(package, {}).read_text())
        return dict(document)


def wait_quiet_queues(broker: Broker, ignored: set[str], deadline_s: float) -> None:
    """Wait until no queue but those ignored, and those that only keep, holds a message, ready or unacknowledged.

    The management API's counts are about a second old, so two looks that far apart must agree.
    """

    def busy() -> dict[str, str]:
        return {
            str(queue["name"]): f"{queue.get('messages_ready')} ready, {queue.get('messages_unacknowledged')} in hand,"
            f" {queue.get('consumers')} consumers, leader {queue.get('leader')}"
            for queue in broker.management.queues()
            if queue.get("messages") and queue["name"] not in ignored and queue.get("type") != "stream"
        }

    def quiet_again() -> bool:
        wait_until(lambda: not busy(), deadline_s, "quiet queues")
        threading.Event().wait(LOOKS_APART_S)
        return not busy()

    try:
        wait_until(lambda: quiet_again() and quiet_again(), deadline_s, "quiet queues")
    except AssertionError as error:
        raise AssertionError(f"{error}: {busy()}") from error
