"""The department that forwards orders to another tool."""

from eventbus.contract import Event, OrderCreated
from eventbus.department import Done, Outcome, subscribe

from marketing.collector.receiver import Receiver
from marketing.collector.settings import CollectorSettings

FORWARDED = Done(detail="forwarded")


class CollectorService:
    """Posts every order to one URL, at least once. The receiver tells a repeat by the event's id."""

    name = "marketing_collector"
    settings_class = CollectorSettings

    receiver = Receiver()

    @subscribe("order.created.*")
    def forward(self, event: Event[OrderCreated]) -> Outcome:
        """Done when the receiver has answered 2xx."""
        self.receiver.post(event)
        return FORWARDED
