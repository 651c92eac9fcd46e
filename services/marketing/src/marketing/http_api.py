"""Marketing's answers over HTTP, on the port of the department's health: the page, `/stats`, and their document."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from eventbus.department.database import Transactions
from eventbus.department.health import problem
from eventbus.department.outcomes import Transient
from eventbus.logs import get_logger
from eventlet import tpool
from nameko.extensions import DependencyProvider
from sqlalchemy.engine import Connection
from werkzeug import Request, Response

from eventbus import database
from marketing import csv_table, openapi
from marketing.page import dashboard, files
from marketing.period import ParameterError, parse
from marketing.settings import MarketingSettings
from marketing.stats import read_stats

RETRY_AFTER_S = 5
FORMATS = ("json", "csv")
JSON, CSV = "application/json", "text/csv"

log = get_logger(__name__)

Read = Callable[[Connection], dict[str, Any]]
Encode = Callable[[dict[str, Any]], str]


class StatsApi(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Answers from connections of its own, which never wait for the counting ones."""

    def __init__(self) -> None:
        self._transactions: Transactions | None = None

    def setup(self) -> None:
        settings: MarketingSettings = self.container.config["settings"]
        self._zone = settings.zone
        # a snapshot: totals and groups of one answer fit together. SQLite's transactions are that anyway
        postgresql = database.parse_url(settings.database_url).get_backend_name() == "postgresql"
        options = {"isolation_level": "REPEATABLE READ", "pool_pre_ping": True} if postgresql else {}
        engine = database.create_engine(
            settings.database_url, writes=False, application_name=f"{settings.department} stats", **options
        )
        self._transactions = Transactions(engine)
        self._page = files.read_page()
        self._document = openapi.document()

    def stop(self) -> None:
        if self._transactions is not None:
            self._transactions.engine.dispose()

    def http_routes(self) -> dict[str, Callable[[Request], Response]]:
        """The paths that the department's health server hands on to us."""
        own = {"/stats": self.stats, "/dashboard": self.dashboard, "/openapi.json": self.openapi}
        return {**self._page.routes, **own}

    def stats(self, request: Request) -> Response:
        """The numbers of a period, as JSON or CSV."""
        parameters = dict(request.args.lists())
        try:
            wanted = _format(parameters.pop("format", None), request)
            period, group_by = parse(parameters, self._today())
        except ParameterError as error:
            return _refused(error)
        response = self._answer(
            request,
            lambda connection: read_stats(connection, period, group_by, self._zone),
            csv_table.csv_table if wanted == "csv" else _as_json,
        )
        response.vary.add("Accept")
        if response.status_code == 200 and wanted == "csv":
            response.headers["Content-Type"] = csv_table.CONTENT_TYPE
            name = csv_table.file_name(period, group_by)
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def dashboard(self, request: Request) -> Response:
        """All numbers of the page. It changes with the page: programs ask `/stats`."""
        today = self._today()
        try:
            question = dashboard.ask(dict(request.args.lists()), today)
        except ParameterError as error:
            return _refused(error)

        def read(connection: Connection) -> dict[str, Any]:
            numbers = dashboard.read_dashboard(connection, question, today, self._zone)
            return {"page": self._page.version, **numbers}

        return self._answer(request, read, _as_json)

    def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """What `/stats` takes and answers (OpenAPI 3.1)."""
        return Response(json.dumps(self._document, ensure_ascii=False), content_type=JSON, headers=files.HEADERS)

    def _today(self) -> date:
        return datetime.now(UTC).astimezone(self._zone).date()

    def _answer(self, request: Request, read: Read, encode: Encode) -> Response:
        assert self._transactions is not None
        try:
            found = self._transactions.run(read)
        except Transient as error:
            log.warning("stats cannot be read", error=error.reason)
            response = problem(503, "Service Unavailable", "The database does not answer. Try again later.")
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        # a year of hours takes longer than the hub may be held
        compress = files.takes_gzip(request)
        body = tpool.execute(_encoded, found, encode, compress)
        response = Response(body, content_type=JSON, headers=files.HEADERS | {"Cache-Control": "no-store"})
        response.vary.add("Accept-Encoding")
        if compress:
            response.headers["Content-Encoding"] = "gzip"
        return response


def _encoded(found: dict[str, Any], encode: Encode, compress: bool) -> bytes:
    body = encode(found).encode()
    return gzip.compress(body, compresslevel=5, mtime=0) if compress else body


def _as_json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False)


def _format(given: Sequence[str] | None, request: Request) -> str:
    """What `format` says, else what the one who asks likes best, else JSON."""
    if given is None:
        return "csv" if request.accept_mimetypes.best_match([JSON, CSV], JSON) == CSV else "json"
    if len(given) > 1:
        raise ParameterError("format", f"given {len(given)} times; once at most")
    if given[0] not in FORMATS:
        raise ParameterError("format", f"expected one of {', '.join(FORMATS)}, got: {given[0][:40]!r}")
    return given[0]


def _refused(error: ParameterError) -> Response:
    return problem(400, "Bad Request", f"{error.parameter}: {error}", parameter=error.parameter)
