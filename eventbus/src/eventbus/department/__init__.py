"""The runtime of departments: nameko services that lose nothing. The only place that knows nameko.

A department is a class with a handler for each routing-key pattern:

    class PrinterService:
        name = "printer"

        @subscribe("order.created.*")
        def print_packing_slip(self, event: Event[OrderCreated]) -> Outcome: ...

The queue, retries with back-off, parking, confirmed results, drain and health are the runtime's.

Importing this package imports nothing: `eventbus.department.run` has to prepare eventlet before all else. The names
below are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventbus.department.database import Database, Transactions
    from eventbus.department.outcomes import Blocked, Done, InHand, Later, Outcome, Permanent, Transient
    from eventbus.department.recurring import every
    from eventbus.department.results import ResultPublisher, Results
    from eventbus.department.settings import DepartmentSettings
    from eventbus.department.subscription import subscribe

__all__ = [
    "Blocked",
    "Database",
    "DepartmentSettings",
    "Done",
    "InHand",
    "Later",
    "Outcome",
    "Permanent",
    "ResultPublisher",
    "Results",
    "Transactions",
    "Transient",
    "every",
    "subscribe",
]

_MODULES = {
    "Blocked": "outcomes",
    "Database": "database",
    "DepartmentSettings": "settings",
    "Done": "outcomes",
    "InHand": "outcomes",
    "Later": "outcomes",
    "Outcome": "outcomes",
    "Permanent": "outcomes",
    "ResultPublisher": "results",
    "Results": "results",
    "Transactions": "database",
    "Transient": "outcomes",
    "every": "recurring",
    "subscribe": "subscription",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
