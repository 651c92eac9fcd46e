"""The tracker: a department like any other, named `orders`, that writes down what departments announce and report."""

from typing import ClassVar

from eventbus.contract import DepartmentJoined, DepartmentLeft, Event, OrderProgressed
from eventbus.department import Database, DepartmentSettings, Done, subscribe

from orders.settings import SectionSettings
from orders.store.membership import keep_announcement
from orders.store.progress import keep_reports

BATCH = 50
WITHIN_S = 0.05


class TrackerSettings(SectionSettings, DepartmentSettings):
    """What an operator may set for the tracker."""

    section: ClassVar[str] = "tracker"

    database_url: str
    """`sqlite:///file` or `postgresql://…`: the gateway's."""


class Tracker:
    """Reports nothing itself."""

    name = "orders"
    settings_class = TrackerSettings

    db = Database("orders")

    @subscribe("order.progressed.*", batch=BATCH, within_s=WITHIN_S, reports=False)
    def keep_progress(self, events: list[Event[OrderProgressed]]) -> None:
        """One transaction for all: a report counts if it ranks higher than what is known."""
        self.db.run(lambda connection: keep_reports(connection, events))

    @subscribe("department.joined.*", "department.left.*", reports=False)
    def keep_membership(self, event: Event[DepartmentJoined | DepartmentLeft]) -> Done:
        """The latest announcement of a department wins, in whatever order they arrive."""
        self.db.run(lambda connection: keep_announcement(connection, event))
        return Done()
