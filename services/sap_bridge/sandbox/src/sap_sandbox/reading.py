"""Reads: one entity, a set of them, or their number."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from sap_sandbox import query, rendering
from sap_sandbox.deep_insert import Row
from sap_sandbox.errors import ENTITY_NOT_FOUND, ODataError
from sap_sandbox.messages import Sim
from sap_sandbox.resource_path import Resource
from sap_sandbox.store import Store


def read(request: Request, base_url: str, resource: Resource, store: Store) -> Response:
    """The answer to a GET of the resource. Blocks while it reads.

    Raises:
        ODataError: 400, the query is wrong; 404, there is no such entity; 406, the client does not want JSON.
    """
    options = query.system_options(request.query_params.multi_items(), _allowed_options(resource))
    asked = query.parse(options, resource.target)
    if not resource.is_count:
        require_json(request)
    owner = _owner(resource, store)
    if resource.is_single:
        assert owner is not None
        return _one(base_url, resource, owner, asked, store)
    parent = str(owner["SalesOrder"]) if owner else None
    if resource.is_count:
        return PlainTextResponse(str(store.count(resource.target, asked, parent)))
    rows = store.select(resource.target, asked, parent)
    inline = _inline(rows, asked, store)
    document: dict[str, object] = {
        "results": [
            rendering.entity(base_url, resource.target, row, children, asked.selected)
            for row, children in zip(rows, inline, strict=True)
        ]
    }
    if asked.counts:
        document = {"__count": str(store.count(resource.target, asked, parent))} | document
    return JSONResponse({"d": document})


def require_json(request: Request) -> None:
    """Refuse a client that would get Atom from SAP: it has to ask for JSON.

    Raises:
        ODataError: 406.
    """
    if request.query_params.get("$format") != "json" and not accepts_json(request):
        raise ODataError(HTTPStatus.NOT_ACCEPTABLE, Sim.NOT_ACCEPTABLE.error())


def accepts_json(request: Request) -> bool:
    """Whether the client names JSON among what it accepts; `*/*` means Atom to SAP."""
    ranges = request.headers.get("accept", "").split(",")
    return "application/json" in (entry.partition(";")[0].strip().lower() for entry in ranges)


def _allowed_options(resource: Resource) -> frozenset[str]:
    if resource.is_count:
        return query.OPTIONS_OF_A_COUNT
    return query.OPTIONS_OF_AN_ENTITY if resource.is_single else query.OPTIONS_OF_A_SET


def _owner(resource: Resource, store: Store) -> Row | None:
    """The entity whose key is in the address, if any is."""
    if resource.key is None:
        return None
    if row := store.find(resource.entity, resource.key):
        return row
    message = Sim.ENTITY_NOT_FOUND.error(entity=resource.entity.set_name)
    raise ODataError(HTTPStatus.NOT_FOUND, message, code=ENTITY_NOT_FOUND)


def _one(base_url: str, resource: Resource, row: Row, asked: query.Query, store: Store) -> Response:
    (children,) = _inline([row], asked, store)
    document = rendering.entity(base_url, resource.entity, row, children, asked.selected)
    version = rendering.etag(row)
    return JSONResponse({"d": document}, headers={"etag": version} if version else None)


def _inline(rows: list[Row], asked: query.Query, store: Store) -> list[dict[str, list[Row]]]:
    numbers = [str(row["SalesOrder"]) for row in rows]
    found = {navigation: store.children(navigation, numbers) for navigation in asked.expanded}
    return [{navigation: found[navigation][number] for navigation in found} for number in numbers]
