"""Puts the process together: the service, its administration under `/_sim/`, and health."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from sap_sandbox.logon import Logon
from sap_sandbox.service import ROOT, SalesOrderService
from sap_sandbox.sessions import Sessions
from sap_sandbox.settings import SandboxSettings
from sap_sandbox.statistics import Statistics
from sap_sandbox.store import Store
from sap_sandbox.work_processes import WorkProcesses

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "MERGE", "DELETE", "OPTIONS"]


def create_app(settings: SandboxSettings) -> Starlette:
    """The ASGI application. Its database is opened, and brought up to date, when it starts.

    When it ends, every order that it took is booked first.
    """
    statistics = Statistics()
    sessions = Sessions(settings.session_idle_s, settings.sessions_max)
    work_processes = WorkProcesses(settings.work_processes, settings.queue_max)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = await asyncio.to_thread(Store, settings.database_url, settings.internal_range)
        logon = Logon(settings, sessions, statistics)
        app.state.store = store
        app.state.service = SalesOrderService(settings, store, logon, work_processes, statistics)
        yield
        await work_processes.drain()
        app.state.service.close()
        store.close()

    async def serve(request: Request) -> Response:
        service: SalesOrderService = request.app.state.service
        return await service.handle(request)

    async def add_slash(request: Request) -> Response:
        # a client that fetches its token without the slash loses it on the way, as with some SAP systems
        return RedirectResponse(request.url.replace(path=f"{ROOT}/"))

    async def stats(request: Request) -> Response:
        store: Store = request.app.state.store
        references = await asyncio.to_thread(store.orders_by_reference)
        return JSONResponse(
            {
                "references": references,
                "orders": sum(references.values()),
                "posts": statistics.posts,
                "answers": {str(status): count for status, count in sorted(statistics.answers.items())},
                "logins": statistics.logins,
                "token_fetches": statistics.token_fetches,
                "csrf_refusals": statistics.csrf_refusals,
                "overload_refusals": statistics.overload_refusals,
                "sessions": sessions.alive(),
                "in_hand": work_processes.in_hand,
                "max_concurrency": work_processes.in_hand_max,
                "max_work_processes": work_processes.busy_max,
            }
        )

    async def expire_sessions(_request: Request) -> Response:
        return JSONResponse({"expired": sessions.expire_all()})

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route(ROOT + "/{resource:path}", serve, methods=_METHODS),
            Route(ROOT, add_slash, methods=_METHODS),
            Route("/_sim/stats", stats),
            Route("/_sim/sessions/expire", expire_sessions, methods=["POST"]),
            Route("/healthz", healthz),
        ],
        lifespan=lifespan,
    )
