"""One event of each type, as the written contract shows it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from eventbus.contract.department import DepartmentJoined, DepartmentLeft
from eventbus.contract.envelope import Event, announcement, order_created, order_progressed
from eventbus.contract.order import OrderCreated, OrderProgressed

_PLACED = datetime(2026, 11, 24, 7, 19, 46, 123000, tzinfo=UTC)
_NUMBER = "7KQ2-M9XD-4TWE"
_CREATED = order_created(
    OrderCreated(
        order_number=_NUMBER, customer_name="Daníel", product_ids=(2, 4, 42), region="north", created_at=_PLACED
    )
)

EXAMPLES: Mapping[str, Event[Any]] = MappingProxyType(
    {
        "order.created": _CREATED,
        "order.progressed": order_progressed(
            OrderProgressed(
                order_number=_NUMBER, department="printer", state="done", cause_id=_CREATED.id, reference="job 17"
            ),
            time=_PLACED + timedelta(seconds=2),
        ),
        "department.joined": announcement(
            DepartmentJoined(
                department="printer",
                patterns=("order.created.*",),
                version="1.0.0",
                remembers_since=_PLACED - timedelta(days=90),
            ),
            time=_PLACED - timedelta(hours=1),
        ),
        "department.left": announcement(
            DepartmentLeft(department="printer", patterns=("order.created.*",)), time=_PLACED + timedelta(days=300)
        ),
    }
)
