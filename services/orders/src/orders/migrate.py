"""`python -m orders migrate`: bring the database to the newest revision. Each process does so at its start as well."""

import sys

import sqlalchemy as sa
from eventbus.logs import get_logger
from eventbus.settings import config_path, load_or_exit

from eventbus import database, logs
from orders.settings import GatewaySettings

_log = get_logger(__name__)


def main() -> None:
    """Upgrade and exit 0; exit 1 while the database is away."""
    settings = load_or_exit(GatewaySettings, config_path("orders"))
    logs.configure("orders-migrate")
    try:
        database.upgrade(settings.database_url, "orders")
    except (sa.exc.DBAPIError, OSError) as error:
        _log.error("the database is away", reason=type(getattr(error, "orig", error)).__name__)
        sys.exit(1)
    _log.info("the database is up to date")
