"""The department: a handler, and what nameko has to inject into it."""

from typing import Any

from eventbus.contract import Event, OrderCreated
from eventbus.department import Database, Outcome, every, subscribe
from eventbus.department.ledger import Ledger
from nameko.extensions import DependencyProvider

from sap_bridge import metrics, schema
from sap_bridge.booking import SENDING, Booking, Limits, Transactions
from sap_bridge.client import SapClient
from sap_bridge.mapping import Mapping
from sap_bridge.settings import SapBridgeSettings


class SalesOrders(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Injects a function that makes a `Booking` in the given database. One client of SAP for the whole process."""

    def __init__(self) -> None:
        self._client: SapClient | None = None

    def setup(self) -> None:
        self._settings: SapBridgeSettings = self.container.config["settings"]
        self._client = SapClient(self._settings.sap)
        self._mapping = Mapping(self._settings.sap)
        self._ledger = Ledger(schema.ledger)

    def stop(self) -> None:
        if self._client is not None:
            self._client.close()

    def get_dependency(self, worker_ctx: Any) -> "SalesOrders":  # noqa: ARG002 - nameko's signature
        return self

    def booking(self, transactions: Transactions) -> Booking:
        """A booking with the ledger of that database."""
        assert self._client is not None, "set up"
        sap = self._settings.sap
        limits = Limits(self._settings.handler_timeout_s, sap.settle_s, sap.look_up_always)
        return Booking(self._client, self._mapping, self._ledger, transactions, limits)

    def oldest_unknown_s(self, transactions: Transactions) -> float:
        """Seconds since the least recent booking whose outcome is unknown; 0: there is none."""
        entries = transactions.run(lambda connection: self._ledger.open_entries(connection, [SENDING], limit=1))
        sent_at = entries[0].last_sent_at if entries else None
        return (self._ledger.clock() - sent_at).total_seconds() if sent_at else 0.0


class SapBridgeService:
    """Books a sales order in SAP for every order, exactly one."""

    name = "sap_bridge"
    settings_class = SapBridgeSettings

    db = Database("sap_bridge", Ledger(schema.ledger))
    sales_orders = SalesOrders()

    @subscribe("order.created.*")
    def book_sales_order(self, event: Event[OrderCreated]) -> Outcome:
        """Book it; SAP's number is the result's reference."""
        return self.sales_orders.booking(self.db).book(event)

    @every(seconds=15)
    def measure(self) -> None:
        """How long the oldest booking has been unknown."""
        metrics.OLDEST_UNKNOWN_SECONDS.set(self.sales_orders.oldest_unknown_s(self.db))
