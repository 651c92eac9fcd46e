"""Puts the process together: the service, its administration under `/_sim/`, and health."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from sap_sandbox.administration import Administration
from sap_sandbox.by_hand import ByHand
from sap_sandbox.connections import Connections, server
from sap_sandbox.faults.plan import FaultPlan
from sap_sandbox.logon import Logon
from sap_sandbox.service import ROOT, SalesOrderService
from sap_sandbox.sessions import Sessions
from sap_sandbox.settings import SandboxSettings
from sap_sandbox.statistics import Statistics
from sap_sandbox.store import Store
from sap_sandbox.work_processes import WorkProcesses

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "MERGE", "DELETE", "OPTIONS"]


def create_server(settings: SandboxSettings, **options: Any) -> uvicorn.Server:
    """A server of the sandbox; options are uvicorn's. Its database is opened, and brought up to date, at its start.

    When it ends, every order that it took is booked first.
    """
    connections = Connections()
    sessions = Sessions(settings.session_idle_s, settings.sessions_max)
    faults = FaultPlan(sessions.expire_all)
    app = _create_app(settings, connections, sessions, faults)
    return server(app, connections, faults.end_pauses, **options)


def _create_app(
    settings: SandboxSettings, connections: Connections, sessions: Sessions, faults: FaultPlan
) -> Starlette:
    statistics = Statistics()
    work_processes = WorkProcesses(settings.work_processes, settings.queue_max)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = await asyncio.to_thread(Store, settings.database_url, settings.internal_range)
        logon = Logon(settings, sessions, statistics)
        with ThreadPoolExecutor(1, thread_name_prefix="booking") as writer:
            app.state.store, app.state.writer, app.state.connections = store, writer, connections
            app.state.by_hand = ByHand(store, settings)
            app.state.service = SalesOrderService(settings, store, logon, work_processes, statistics, faults, writer)
            yield
            await work_processes.drain()
        store.close()

    async def serve(request: Request) -> Response:
        service: SalesOrderService = request.app.state.service
        return await service.handle(request)

    async def add_slash(request: Request) -> Response:
        # a client that fetches its token without the slash loses it on the way, as with some SAP systems
        return RedirectResponse(request.url.replace(path=f"{ROOT}/"))

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route(ROOT + "/{resource:path}", serve, methods=_METHODS),
            Route(ROOT, add_slash, methods=_METHODS),
            *Administration(sessions, work_processes, statistics, faults).routes(),
            Route("/healthz", healthz),
        ],
        lifespan=lifespan,
    )
