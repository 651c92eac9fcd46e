"""`/_sim/`: what only the people around the sandbox may do. No login: keep it on loopback."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sap_sandbox import by_hand
from sap_sandbox.admin_client import SIGN
from sap_sandbox.by_hand import ByHand
from sap_sandbox.faults import answers, rule
from sap_sandbox.faults.kinds import EXPIRE_SESSIONS, KINDS
from sap_sandbox.faults.plan import Entry, FaultPlan, PlanFullError
from sap_sandbox.problems import ProblemError
from sap_sandbox.sessions import Sessions
from sap_sandbox.statistics import Statistics
from sap_sandbox.store import RangeUsedUpError, Store
from sap_sandbox.work_processes import WorkProcesses

PREFIX = "/_sim"
BODY_BYTES_MAX = 65_536
REFERENCE_CHARACTERS_MAX = 100

Endpoint = Callable[[Request], Awaitable[Response]]


class Administration:
    """Counters, fault plan, sessions and orders of one sandbox. The store is the application's, opened at its start."""

    def __init__(
        self, sessions: Sessions, work_processes: WorkProcesses, statistics: Statistics, faults: FaultPlan
    ) -> None:
        self._sessions, self._work_processes = sessions, work_processes
        self._statistics, self._faults = statistics, faults

    def routes(self) -> list[Route]:
        """The addresses below `PREFIX`."""
        table: tuple[tuple[str, str, Endpoint], ...] = (
            ("GET", "/stats", self._stats),
            ("GET", "/faults", self._show_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{id:int}", self._remove_fault),
            ("POST", "/sessions/expire", self._expire_sessions),
            ("GET", "/orders", self._orders),
            ("DELETE", "/orders/{number:path}", self._remove_order),
            ("PATCH", "/orders/{number:path}", self._change_order),
            ("POST", "/orders/{number:path}/double", self._double_order),
            ("GET", "/logon-page", self._logon_page),
        )
        return [Route(PREFIX + path, _with_problems(endpoint), methods=[method]) for method, path, endpoint in table]

    async def _stats(self, request: Request) -> Response:
        self._faults.keep_time()
        store: Store = request.app.state.store
        references = await asyncio.to_thread(store.orders_by_reference)
        counted = self._statistics
        return JSONResponse(
            {
                "references": references,
                "orders": sum(references.values()),
                "posts": counted.posts,
                "answers": dict(sorted(counted.answers.items())),
                "look_ups": counted.look_ups,
                "logins": counted.logins,
                "token_fetches": counted.token_fetches,
                "csrf_refusals": counted.csrf_refusals,
                "overload_refusals": counted.overload_refusals,
                "sessions": self._sessions.alive(),
                "in_hand": self._work_processes.in_hand,
                "max_concurrency": self._work_processes.in_hand_max,
                "max_work_processes": self._work_processes.busy_max,
            }
        )

    async def _show_faults(self, _request: Request) -> Response:
        return JSONResponse({"rules": [entry.as_json() for entry in self._faults.entries()]})

    async def _add_fault(self, request: Request) -> Response:
        entry = self._added(await _json(request))
        return JSONResponse(entry.as_json(), HTTPStatus.CREATED, {"Location": f"{PREFIX}/faults/{entry.id}"})

    async def _clear_faults(self, _request: Request) -> Response:
        return JSONResponse({"removed": self._faults.clear()})

    async def _remove_fault(self, request: Request) -> Response:
        entry_id: int = request.path_params["id"]
        if not self._faults.remove(entry_id):
            known = [entry.id for entry in self._faults.entries()]
            raise ProblemError(HTTPStatus.NOT_FOUND, f"there is no rule {entry_id}", rules=known)
        return JSONResponse({"removed": 1})

    async def _expire_sessions(self, request: Request) -> Response:
        document = await _json(request, {})
        if document == {}:
            return JSONResponse({"expired": self._sessions.expire_all()})
        if not isinstance(document, dict) or document.keys() - {"every_s", "count"} or "every_s" not in document:
            detail = "nothing, or one JSON object with every_s and, if wanted, count is expected"
            raise ProblemError(HTTPStatus.BAD_REQUEST, detail, field="every_s")
        entry = self._added({"fault": EXPIRE_SESSIONS, **document})
        return JSONResponse(entry.as_json(), HTTPStatus.CREATED, {"Location": f"{PREFIX}/faults/{entry.id}"})

    async def _orders(self, request: Request) -> Response:
        limit = request.query_params.get("limit", str(by_hand.LISTED_MAX))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= by_hand.LISTED_MAX):
            detail = f"limit: a whole number from 1 to {by_hand.LISTED_MAX} is expected, got {limit!r:.100}"
            raise ProblemError(HTTPStatus.BAD_REQUEST, detail, field="limit")
        reference = request.query_params.get("reference")
        if reference is not None and len(reference) > REFERENCE_CHARACTERS_MAX:
            detail = f"reference: at most {REFERENCE_CHARACTERS_MAX} characters are expected"
            raise ProblemError(HTTPStatus.BAD_REQUEST, detail, field="reference")
        hand: ByHand = request.app.state.by_hand
        return JSONResponse(await asyncio.to_thread(hand.orders, reference, int(limit)))

    async def _remove_order(self, request: Request) -> Response:
        hand: ByHand = request.app.state.by_hand
        await _written(request, hand.remove, request.path_params["number"])
        return JSONResponse({"removed": 1})

    async def _double_order(self, request: Request) -> Response:
        hand: ByHand = request.app.state.by_hand
        number = await _written(request, hand.double, request.path_params["number"])
        return JSONResponse({"SalesOrder": number}, HTTPStatus.CREATED)

    async def _change_order(self, request: Request) -> Response:
        hand: ByHand = request.app.state.by_hand
        document = await _json(request)
        changes = {k: v for k, v in document.items() if k in by_hand.CHANGES} if isinstance(document, dict) else {}
        if not changes or document.keys() - by_hand.CHANGES - {"item"}:
            listed = ", ".join(by_hand.CHANGES)
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"one JSON object with {listed}, or item is expected")
        item = document.get("item")
        await _written(
            request, hand.change, request.path_params["number"], None if item is None else str(item), changes
        )
        return JSONResponse({"changed": 1})

    async def _logon_page(self, _request: Request) -> Response:
        return answers.logon_page()

    def _added(self, document: Any) -> Entry:
        try:
            return self._faults.add(rule.read(document))
        except rule.RuleError as error:
            more = {"choices": list(error.choices)} if error.choices else {}
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, str(error), field=error.field, **more, faults=list(KINDS)
            ) from None
        except PlanFullError as error:
            raise ProblemError(HTTPStatus.CONFLICT, str(error)) from None


def _with_problems(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except ProblemError as error:
            response = error.response()
        response.headers[SIGN] = "administration"
        return response

    return answer


async def _written(request: Request, work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of work that writes, done by the one thread that may."""
    try:
        return await asyncio.get_running_loop().run_in_executor(request.app.state.writer, work, *arguments)
    except by_hand.NoSuchOrderError as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, str(error)) from None
    except by_hand.ChangeError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, str(error), field=error.field) from None
    except RangeUsedUpError:
        raise ProblemError(HTTPStatus.CONFLICT, "the internal number range is used up") from None


async def _json(request: Request, where_empty: Any = None) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {BODY_BYTES_MAX} bytes are expected")
    if not body and where_empty is not None:
        return where_empty
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"JSON is expected: {error}") from None
