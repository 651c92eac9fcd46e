"""The FastAPI application: reading an order, health, metrics. `POST /orders` goes past it (`front.py`)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from eventbus.contract.order import Moment
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Route

from orders import __version__
from orders.gateway import openapi, problems
from orders.gateway.committer import GroupCommitter
from orders.gateway.documentation import add_documentation
from orders.gateway.leaving import Leaving
from orders.gateway.metrics import GatewayMetrics
from orders.gateway.place_order import PlaceOrder
from orders.gateway.problems import ProblemError
from orders.gateway.reads import Reads
from orders.model import format_number, parse_number
from orders.status import DepartmentState, OrderStatus, derive_status, progress_by_department
from orders.store.reading import StoredOrder


class PlacedOrder(BaseModel):
    """An order as it was placed."""

    order_number: str = Field(examples=["7KQ2-M9XD-4TWE"])
    status: OrderStatus
    customer_name: str
    product_ids: list[int]
    region: str
    created_at: Moment


class DepartmentProgress(BaseModel):
    """How far a department has come. `pending`: expected, has not reported."""

    state: DepartmentState
    reference: str | None = Field(description="SAP sales order, print job, …")
    detail: str | None = Field(description="for people")
    updated_at: Moment | None


class OrderView(PlacedOrder):
    """An order and how far it is."""

    departments: dict[str, DepartmentProgress]


class Health(BaseModel):
    """That the process answers."""

    status: str


class Readiness(Health):
    """Ready also without the database: customers get a 503 then, not a refused connection."""

    database: str


def create_app(
    place_order: PlaceOrder,
    reads: Reads,
    committer: GroupCommitter,
    metrics: GatewayMetrics,
    default_region: str,
    leaving: Leaving,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """The application. `lifespan` starts and ends what it was given."""
    app = FastAPI(
        title="Orders",
        version=__version__,
        description="Takes orders and shows how far they are.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.router.routes.append(Route("/orders", endpoint=place_order, methods=["POST"]))
    _add_orders(app, reads)
    _add_operations(app, committer, metrics, leaving)
    add_documentation(app, PlacedOrder, default_region)
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_bug)
    return app


def _add_orders(app: FastAPI, reads: Reads) -> None:
    not_found = openapi.problem_response("no such order")
    unavailable = openapi.retry_later("the database cannot be read now, or too many requests at once")

    @app.get(
        "/orders/{order_number}",
        tags=["orders"],
        summary="An order and how far it is",
        response_model=OrderView,
        responses={404: not_found, 503: unavailable},
    )
    async def read_order(order_number: str, response: Response) -> Any:
        """Case and dashes of the number do not matter; I and L are read as 1, O as 0."""
        number = parse_number(order_number)
        stored = await reads.read(number) if number else None
        if stored is None:
            raise ProblemError(404, "There is no order of that number.")
        response.headers["cache-control"] = "no-store"
        return _view(stored)


def _view(order: StoredOrder) -> OrderView:
    progress = progress_by_department(order.region, order.created_at, order.memberships, order.reports)
    return OrderView(
        order_number=format_number(order.number),
        status=derive_status(progress.values()),
        customer_name=order.customer_name,
        product_ids=order.product_ids,
        region=order.region,
        created_at=order.created_at,
        departments={
            name: DepartmentProgress(
                state=each.state, reference=each.reference, detail=each.detail, updated_at=each.updated_at
            )
            for name, each in progress.items()
        },
    )


def _add_operations(app: FastAPI, committer: GroupCommitter, metrics: GatewayMetrics, leaving: Leaving) -> None:
    @app.get("/healthz", tags=["operations"], summary="The process answers")
    async def healthz() -> Health:
        return Health(status="ok")

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Ready to answer, if only with 503 while the database is away",
        responses={503: openapi.retry_later("about to end: send your requests to another gateway")},
    )
    async def readyz() -> Readiness:
        if leaving.has_begun:
            raise ProblemError(503, "This gateway is about to end.", retry_after_s=1)
        return Readiness(status="ready", database="up" if committer.available else "down")

    @app.get("/metrics", tags=["operations"], summary="For Prometheus", response_class=Response)
    async def read_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _on_problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, ProblemError)
    return _response(problem)


async def _on_bug(_request: Request, _bug: Exception) -> Response:
    """Starlette raises the exception again after the answer, so that it is logged."""
    return _response(problems.internal_error())


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {404: "There is nothing at this path.", 405: "This path does not take that method."}
    response = _response(ProblemError(error.status_code, details.get(error.status_code, str(error.detail))))
    response.headers.update(error.headers or {})
    return response


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _response(ProblemError(422, "The request's parameters are not valid."))


def _response(problem: ProblemError) -> Response:
    body = problem.body()
    response = Response(body, problem.status, media_type=problems.MEDIA_TYPE)
    if problem.retry_after_s is not None:
        response.headers["retry-after"] = str(problem.retry_after_s)
    return response
