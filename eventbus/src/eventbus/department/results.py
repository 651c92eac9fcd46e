"""Results that a department reports later than it acknowledged the event (`InHand`)."""

from typing import Any

from nameko.extensions import DependencyProvider

from eventbus.contract.order import State
from eventbus.department.consumer import Bus
from eventbus.department.messages import Cause, report

CONFIRM_DEADLINE_S = 60.0


class ResultPublisher:
    """Publishes a department's `order.progressed`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def publish(
        self,
        *,
        order_number: str,
        cause_id: str,
        cause_type: str,
        state: State,
        reference: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Report how far the department has come, and return once the broker has confirmed.

        The report's id is derived from cause, department and state: a repeat is harmless.

        Raises:
            LinkDownError: not confirmed within a minute. Whether it arrived is unknown: report again.
        """
        cause = Cause(cause_id, cause_type, order_number)
        message = report(self._bus.name, cause, state, reference=reference, detail=detail)
        self._bus.connection.publish(message, CONFIRM_DEADLINE_S)


class Results(DependencyProvider):
    """Injects a `ResultPublisher`."""

    bus = Bus()

    def get_dependency(self, worker_ctx: Any) -> ResultPublisher:  # noqa: ARG002 - nameko's signature
        return ResultPublisher(self.bus)
