"""The service API_SALES_ORDER_SRV: one dialog step for each request, as named steps."""

import asyncio
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from eventbus.logs import get_logger
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from sap_sandbox import deep_insert, metadata_document, query, rendering, resource_path
from sap_sandbox.booking import BookedOrder, book
from sap_sandbox.connections import BrokenOff
from sap_sandbox.errors import ODataError, PlainError, SandboxError, overloaded
from sap_sandbox.faults import answers
from sap_sandbox.faults.identify import Identified, identify
from sap_sandbox.faults.kinds import EXPIRE_SESSIONS, Call
from sap_sandbox.faults.plan import Entry, FaultPlan
from sap_sandbox.logon import LoggedOn, Logon
from sap_sandbox.messages import Sim
from sap_sandbox.reading import accepts_json, read, require_json
from sap_sandbox.schema import ENTITY_TYPES, SALES_ORDER
from sap_sandbox.settings import SandboxSettings
from sap_sandbox.statistics import NO_ANSWER, Statistics
from sap_sandbox.store import Store
from sap_sandbox.work_processes import Latency, OverloadedError, WorkProcesses

ROOT = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"

_log = get_logger(__name__)


class SalesOrderService:
    """Answers requests below `ROOT`.

    A request occupies a work process from logon to answer. An order is booked at the end of the latency, whether its
    client still waits or not. Faults strike calls that SAP has let in: a create with another token uses up no rule.

    Args:
        writer: the one thread that writes to the store.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        store: Store,
        logon: Logon,
        work_processes: WorkProcesses,
        statistics: Statistics,
        faults: FaultPlan,
        writer: ThreadPoolExecutor,
    ) -> None:
        source = random.Random()  # noqa: S311 - a latency is no secret
        self._settings, self._store, self._logon = settings, store, logon
        self._work_processes, self._statistics = work_processes, statistics
        self._booking_latency = Latency(settings.latency_median_ms, settings.latency_sigma, source)
        self._read_latency = Latency(settings.read_latency_median_ms, settings.latency_sigma, source)
        self._faults, self._writer = faults, writer

    async def handle(self, request: Request) -> Response:
        """The answer to one request."""
        try:
            body = await self._body(request)
            return await self._work_processes.run(lambda: self._dialog_step(request, body))
        except ClientDisconnect:  # before the body was complete: nothing was asked for
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except OverloadedError as error:
            self._statistics.overload_refusals += 1
            return overloaded(str(error)).response()
        except PlainError as error:
            return error.response()

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._settings.body_bytes_max:
                text = f"Request body larger than {self._settings.body_bytes_max} bytes"
                raise PlainError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, {"Connection": "close"})
        return bytes(body)

    async def _dialog_step(self, request: Request, body: bytes) -> Response:
        self._faults.keep_time()
        caller = self._let_in(request)
        if isinstance(caller, Response):
            return caller
        call = identify(request, request.path_params["resource"], body)
        struck = self._strike(call)
        if struck and struck.rule.fault == EXPIRE_SESSIONS:
            self._logon.end_all_sessions()
            struck, caller = None, self._let_in(request)
            if isinstance(caller, Response):
                return caller
        if struck:
            answer = await self._faulty_answer(struck, request, body, caller)
        else:
            answer = self._finish(request, caller, await self._answer(request, body))
        if call:
            self._count(call.call, answer)
        return answer

    def _count(self, call: Call, answer: Response) -> None:
        if call is Call.LOOK_UP:
            self._statistics.look_ups += 1
        elif call is Call.CREATE:
            self._statistics.posts += 1
            self._statistics.answers[NO_ANSWER if isinstance(answer, BrokenOff) else str(answer.status_code)] += 1

    def _let_in(self, request: Request) -> LoggedOn | Response:
        """The caller, or why there is none."""
        try:
            caller = self._logon.log_on(request)
        except SandboxError as error:
            return error.response()
        try:
            self._logon.check_csrf(request, caller)
        except SandboxError as error:
            return self._finish(request, caller, error.response())
        return caller

    def _strike(self, call: Identified | None) -> Entry | None:
        struck = self._faults.strike(call) if call else None
        if call and struck:
            about = ", ".join(call.references)
            _log.info("fault", fault=struck.rule.fault, rule=struck.id, call=str(call.call), reference=about)
        return struck

    async def _faulty_answer(self, struck: Entry, request: Request, body: bytes, caller: LoggedOn) -> Response:
        rule = struck.rule
        if rule.is_after_commit:
            answer = await self._answer(request, body)
            if answer.status_code == HTTPStatus.CREATED:
                await self._faults.pause(struck)
                answer = answers.afterwards(rule, answer)
            else:
                self._faults.give_back(struck)
            return self._finish(request, caller, answer)
        await self._faults.pause(struck)
        answer_instead = answers.instead(rule, request, self._settings)
        if answer_instead is None:
            return self._finish(request, caller, await self._answer(request, body))
        self._logon.undo(caller)
        return answer_instead

    def _finish(self, request: Request, caller: LoggedOn, response: Response) -> Response:
        self._logon.finish(request, caller, response)
        response.headers["DataServiceVersion"] = "2.0"
        return response

    async def _answer(self, request: Request, body: bytes) -> Response:
        path = request.path_params["resource"]
        try:
            if path in ("", "$metadata"):
                return _own_document(request, path)
            if path == "$batch":
                raise ODataError(HTTPStatus.NOT_IMPLEMENTED, Sim.NOT_SIMULATED.error(what="$batch"))
            resource = resource_path.parse(path)
            if request.method == "GET":
                await self._read_latency.pass_by()
                return await asyncio.to_thread(read, request, base_url(request), resource, self._store)
            if request.method == "POST" and resource == resource_path.Resource(SALES_ORDER):
                return await self._create(request, body)
            raise _refused_method(request.method)
        except SandboxError as error:
            return error.response()

    async def _create(self, request: Request, body: bytes) -> Response:
        started = time.monotonic()
        try:
            query.system_options(request.query_params.multi_items(), query.OPTIONS_OF_A_WRITE)
            _require_json_body(request)
            require_json(request)
            wanted = deep_insert.parse(body)
            await self._booking_latency.pass_by()
            loop = asyncio.get_running_loop()
            booked = await loop.run_in_executor(self._writer, book, wanted, self._settings, self._store)
        except ODataError as error:
            _log.info("refused", status=int(error.status), messages=_codes(error), transaction=error.transaction_id)
            raise
        _log.info(
            "booked",
            sales_order=str(booked.header["SalesOrder"]).lstrip("0"),
            reference=booked.header["PurchaseOrderByCustomer"],
            seconds=round(time.monotonic() - started, 3),
        )
        return _created(base_url(request), booked)


def base_url(request: Request) -> str:
    """The service's root as the client addressed it, without a slash at the end."""
    return f"{request.url.scheme}://{request.url.netloc}{ROOT}"


def _own_document(request: Request, path: str) -> Response:
    if request.method not in ("GET", "HEAD"):
        raise _refused_method(request.method)
    if path == "$metadata":
        return Response(metadata_document.edmx(), media_type="application/xml")
    options = query.system_options(request.query_params.multi_items(), query.OPTIONS_OF_A_WRITE)
    if accepts_json(request) or "$format" in options:
        return JSONResponse({"d": {"EntitySets": list(ENTITY_TYPES)}})
    return Response(metadata_document.service_document(), media_type="application/atomsvc+xml")


def _refused_method(method: str) -> ODataError:
    if method in ("POST", "PUT", "PATCH", "MERGE", "DELETE"):  # SAP has some of these
        return ODataError(HTTPStatus.NOT_IMPLEMENTED, Sim.NOT_SIMULATED.error(what=f"{method} here"))
    return ODataError(HTTPStatus.METHOD_NOT_ALLOWED, Sim.METHOD_NOT_ALLOWED.error(method=method))


def _require_json_body(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        message = Sim.BAD_MEDIA_TYPE.error(got=media_type or "none")
        raise ODataError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)


def _created(root: str, booked: BookedOrder) -> Response:
    inline = {navigation: list(rows) for navigation, rows in booked.children.items()}
    document = rendering.entity(root, SALES_ORDER, booked.header, inline, {})
    headers = {"Location": rendering.address(root, SALES_ORDER, booked.header)}
    if version := rendering.etag(booked.header):
        headers["etag"] = version
    if booked.warnings:
        first, *others = (message.as_sap_message() for message in booked.warnings)
        headers["sap-message"] = json.dumps(first | {"details": others})
    return JSONResponse({"d": document}, HTTPStatus.CREATED, headers)


def _codes(error: ODataError) -> str:
    return ", ".join(dict.fromkeys(message.code for message in error.messages))
