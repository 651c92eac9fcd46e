"""Departments whose handlers do nothing, or only write down the time: what is measured is the runtime."""

import os
import time
from pathlib import Path

from eventbus.contract import Event, OrderCreated
from eventbus.department import DepartmentSettings, Done, subscribe


class Single:
    """One event at a time; its result is published and confirmed."""

    name = "single"
    settings_class = DepartmentSettings

    @subscribe("order.created.*")
    def handle(self, event: Event[OrderCreated]) -> Done:
        return Done()


class Silent(Single):
    """One event at a time, without a result: what the results cost is the difference."""

    name = "silent"

    @subscribe("order.created.*", reports=False)
    def handle(self, event: Event[OrderCreated]) -> Done:
        return Done()


class Batched:
    """A hundred events at a time, with results."""

    name = "batched"
    settings_class = DepartmentSettings

    @subscribe("order.created.*", batch=100, within_s=0.05)
    def handle(self, events: list[Event[OrderCreated]]) -> None:
        return None


class SilentBatched:
    """A hundred events at a time, without results."""

    name = "silent_batched"
    settings_class = DepartmentSettings

    @subscribe("order.created.*", batch=100, within_s=0.05, reports=False)
    def handle(self, events: list[Event[OrderCreated]]) -> None:
        return None


class Clock:
    """Writes down when each order reached its handler."""

    name = "clock"
    settings_class = DepartmentSettings

    @subscribe("order.created.*", reports=False)
    def handle(self, event: Event[OrderCreated]) -> Done:
        with Path(os.environ["CLOCK_FILE"]).open("a") as file:
            file.write(f"{event.subject} {time.time()}\n")
        return Done()
