"""`GET /stats`, on the port of the department's health."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from eventbus.department.database import Transactions
from eventbus.department.health import problem
from eventbus.department.outcomes import Transient
from eventbus.logs import get_logger
from eventlet import tpool
from nameko.extensions import DependencyProvider
from werkzeug import Request, Response

from eventbus import database
from marketing.period import GroupBy, ParameterError, Period, parse
from marketing.settings import MarketingSettings
from marketing.stats import read_stats

RETRY_AFTER_S = 5

log = get_logger(__name__)


class StatsApi(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Answers `/stats` from connections of its own, which never wait for the counting ones."""

    def __init__(self) -> None:
        self._transactions: Transactions | None = None

    def setup(self) -> None:
        settings: MarketingSettings = self.container.config["settings"]
        self._zone = settings.zone
        # a snapshot: totals and groups of one answer fit together. SQLite's transactions are that anyway
        postgresql = database.parse_url(settings.database_url).get_backend_name() == "postgresql"
        options = {"isolation_level": "REPEATABLE READ"} if postgresql else {}
        engine = database.create_engine(
            settings.database_url, writes=False, application_name=f"{settings.department} stats", **options
        )
        self._transactions = Transactions(engine)

    def stop(self) -> None:
        if self._transactions is not None:
            self._transactions.engine.dispose()

    def http_routes(self) -> dict[str, Callable[[Request], Response]]:
        """The paths that the department's health server hands on to us."""
        return {"/stats": self.stats}

    def stats(self, request: Request) -> Response:
        """The numbers of a period as JSON; a wrong parameter or an absent database as problem details."""
        try:
            today = datetime.now(UTC).astimezone(self._zone).date()
            period, group_by = parse(dict(request.args.lists()), today)
        except ParameterError as error:
            return problem(400, "Bad Request", f"{error.parameter}: {error}", parameter=error.parameter)
        try:
            stats = self._read(period, group_by)
        except Transient as error:
            log.warning("stats cannot be read", error=error.reason)
            response = problem(503, "Service Unavailable", "The database does not answer. Try again later.")
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        body = tpool.execute(json.dumps, stats)  # a year of hours takes longer than the hub may be held
        return Response(body, content_type="application/json", headers={"Cache-Control": "no-store"})

    def _read(self, period: Period, group_by: GroupBy) -> dict[str, Any]:
        assert self._transactions is not None
        return self._transactions.run(lambda connection: read_stats(connection, period, group_by, self._zone))
