"""The runtime of departments: nameko services that lose nothing. The only place that knows nameko.

A department is a class with a handler for each routing-key pattern:

    class PrinterService:
        name = "printer"

        @subscribe("order.created.*")
        def print_packing_slip(self, event: Event[OrderCreated]) -> Outcome: ...

The queue, retries with back-off, parking, confirmed results, drain and health are the runtime's.
"""

from eventbus.department.outcomes import Blocked, Done, InHand, Later, Outcome, Permanent, Transient
from eventbus.department.settings import DepartmentSettings

__all__ = [
    "Blocked",
    "DepartmentSettings",
    "Done",
    "InHand",
    "Later",
    "Outcome",
    "Permanent",
    "Transient",
]
