"""What authors of departments need for their tests: a private broker, a database, builders, `deliver`.

The pytest plugin (`eventbus.testing.plugin`) is found by its entry point: its fixtures need no import.
"""

from eventbus.testing.builders import a_result, an_announcement, an_event, an_order, an_order_number
from eventbus.testing.delivering import deliver
from eventbus.testing.waiting import wait_until

__all__ = ["a_result", "an_announcement", "an_event", "an_order", "an_order_number", "deliver", "wait_until"]
