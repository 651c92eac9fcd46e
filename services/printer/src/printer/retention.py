"""How long what stands on slips is kept: the setting, as a dependency of the service."""

from datetime import datetime, timedelta
from typing import Any

from eventbus.department.ledger import utcnow
from eventbus.logs import get_logger
from nameko.extensions import DependencyProvider

from printer.erasure import ERASED_AT_ONCE_MAX, forget_older
from printer.records import RunsTransactions
from printer.settings import PrinterSettings

log = get_logger(__name__)


class Retention(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Injects itself."""

    def get_dependency(self, worker_ctx: Any) -> "Retention":  # noqa: ARG002 - nameko's signature
        return self

    def sweep(self, transactions: RunsTransactions) -> None:
        """Erase what stands on the slips that are older than the settings say."""
        before = self._kept_since()
        erased = forget_older(transactions, before)
        while erased:
            log.info("erased what stood on old slips", slips=erased, before=before.date().isoformat())
            erased = forget_older(transactions, before) if erased == ERASED_AT_ONCE_MAX else 0

    def _kept_since(self) -> datetime:
        settings: PrinterSettings = self.container.config["settings"]
        return utcnow() - timedelta(days=settings.keep_days)
