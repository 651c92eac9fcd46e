"""The marketing department: counts every order once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from eventbus.contract import Event, OrderCreated
from eventbus.department import Database, Done, Outcome, every, subscribe
from eventbus.department.database import Transactions
from eventbus.department.inbox import Inbox
from eventbus.logs import get_logger

from marketing.book import Book, open_book
from marketing.http_api import StatsApi
from marketing.settings import MarketingSettings
from marketing.tables import inbox

BATCH = 100
INBOX_KEPT = timedelta(days=120)
"""How long the ids of counted events are kept. Events can be replayed for 30 days."""
COUNTED = Done(detail="counted")
"""Always the same: a repeat reports the same as the first delivery."""

log = get_logger(__name__)


class Counters:
    """Counts orders in transactions of the department's database."""

    def __init__(self, transactions: Transactions, book: Book) -> None:
        self._transactions = transactions
        self._book = book

    def count(self, events: Sequence[Event[OrderCreated]]) -> int:
        """How many of the orders were new; they are counted and committed.

        Raises:
            Transient: the database does not answer. Nothing is counted.
            Permanent: an order that cannot be counted. Nothing is counted.
        """
        return self._transactions.run(lambda connection: self._book.count(connection, events))

    def forget(self, before: datetime) -> int:
        """How many ids of events counted before that moment were forgotten, a part of them at a time."""
        return self._transactions.run(lambda connection: Inbox(inbox).forget(connection, before))


class CountersOfDatabase(Database):
    """Injects `Counters`. Refuses at start to count in another time zone, or with another key, than before."""

    def __init__(self, package: str) -> None:
        super().__init__(package, memory=Inbox(inbox))
        self._counters: Counters | None = None

    def setup(self) -> None:
        super().setup()
        settings: MarketingSettings = self.container.config["settings"]
        transactions = super().get_dependency(None)
        book = transactions.run(lambda connection: open_book(connection, settings.timezone, settings.customer_key))
        self._counters = Counters(transactions, book)

    def get_dependency(self, worker_ctx: Any) -> Counters:  # type: ignore[override]  # noqa: ARG002
        assert self._counters is not None
        return self._counters


class MarketingService:
    """Counts orders, items and customers by day, hour, region and product."""

    name = "marketing"
    settings_class = MarketingSettings

    counters = CountersOfDatabase("marketing")
    stats = StatsApi()

    @subscribe("order.created.*", batch=BATCH, within_s=0.1)
    def count_orders(self, events: list[Event[OrderCreated]]) -> list[Outcome]:
        """Each order counts once, on the day when it was placed."""
        self.counters.count(events)
        return [COUNTED] * len(events)

    @every(seconds=3600)
    def forget_old_events(self) -> None:
        """Lets go of ids that no replay can bring back."""
        before = datetime.now(UTC) - INBOX_KEPT
        while forgotten := self.counters.forget(before):
            log.info("forgot ids of counted events", ids=forgotten)
