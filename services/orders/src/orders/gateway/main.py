"""`python -m orders gateway`: puts the gateway together and serves it."""

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import uvicorn
from eventbus.logs import get_logger
from eventbus.open_connections import OpenConnections
from eventbus.settings import SettingsError, config_path, exit_configuration, load_or_exit
from fastapi import FastAPI

from eventbus import database, logs
from orders.gateway.access_log import AccessLog
from orders.gateway.app import create_app
from orders.gateway.committer import GroupCommitter
from orders.gateway.front import Front
from orders.gateway.leaving import CLOSE_HEADER, Leaving
from orders.gateway.metrics import GatewayMetrics
from orders.gateway.place_order import PlaceOrder
from orders.gateway.protocol import BoundedProtocol
from orders.gateway.reads import Reads
from orders.settings import GatewaySettings
from orders.store.opening import open_store
from orders.store.reading import OrderReader

SERVICE = "orders-gateway"
BACKLOG = 2048
CONNECTIONS_MAX = 4_096
ANSWER_S = 60.0
"""For a client to read an answer."""
SWEEP_S = 1.0
_OTHER_FILES = 64
"""File handles for all but connections of clients: database, log, files that are sent."""

_log = get_logger(__name__)


def main() -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way and exit 0."""
    settings = load_or_exit(GatewaySettings, config_path("orders"))
    logs.configure(SERVICE)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)  # uvicorn raises the signal again after its drain: end with 0, not with -15
    _raise_file_limit()
    try:
        server = create_server(settings)
    except SettingsError as error:
        exit_configuration(str(error))
    server.run()


def _raise_file_limit() -> None:
    """Let this process have a file handle for each connection, as far as it may (the usual soft limit is 1,024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_max() -> int:
    """Connections that clients may have at once; fewer where this process may not have as many file handles."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else max(1, min(CONNECTIONS_MAX, soft - _OTHER_FILES))


class GatewayServer(uvicorn.Server):
    """Says where it listens, ends connections that keep it waiting, and says that it leaves before it does."""

    def __init__(self, config: uvicorn.Config, connections: OpenConnections[BoundedProtocol], leaving: Leaving) -> None:
        super().__init__(config)
        self._connections = connections
        self._leaving = leaving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self._leaving.begin():
            return
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._leaving.has_ended:
            self.should_exit = True
        must_exit = await super().on_tick(counter)
        headers = self.server_state.default_headers
        if self._leaving.has_begun and CLOSE_HEADER not in headers:
            self.server_state.default_headers = [*headers, CLOSE_HEADER]
        return must_exit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        addresses = [each.getsockname() for server in self.servers for each in server.sockets]
        _log.info("listening", addresses=[f"{host}:{port}" for host, port, *_ in addresses])
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    async def _sweep(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(SWEEP_S)
            self._connections.end_overdue()


def create_server(settings: GatewaySettings) -> GatewayServer:
    """A server that is not started yet."""
    connections: OpenConnections[BoundedProtocol] = OpenConnections(
        BoundedProtocol.end,
        count_max=connections_max(),
        request_s=settings.keep_alive_s + settings.message_timeout_s,  # each has a timer of its own, too
        answer_s=ANSWER_S,
    )
    limits = {"message_timeout_s": settings.message_timeout_s, "places": connections}
    protocol = type("Protocol", (BoundedProtocol,), limits)
    leaving = Leaving(settings.unready_s)
    config = uvicorn.Config(
        build(settings, leaving),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_s,
    )
    return GatewayServer(config, connections, leaving)


def build(settings: GatewaySettings, leaving: Leaving) -> Front:
    """The gateway's ASGI application. Its lifespan connects and disconnects."""
    metrics = GatewayMetrics()
    url = settings.database_url
    committer = GroupCommitter(
        lambda on_unreachable: open_store(url, on_unreachable),
        lambda give_up: database.upgrade(url, "orders", give_up),
        metrics,
    )
    reads = Reads(OrderReader(url), committer)
    place_order = PlaceOrder(committer, settings.default_region)
    logged = settings.access_log and logging.getLogger().isEnabledFor(logging.INFO)
    access_log = AccessLog(SERVICE, text=logs.is_text(sys.stderr)) if logged else None

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await committer.start()
        yield
        await committer.close()
        reads.close()
        if access_log is not None:
            access_log.flush()

    app = create_app(place_order, reads, committer, metrics, settings.default_region, leaving, lifespan)
    return Front(place_order, app, metrics, access_log)


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
