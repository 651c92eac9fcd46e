"""`@subscribe`: the entrypoint of a department's handlers."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from nameko.extensions import Entrypoint, register_entrypoint

from eventbus.contract import Event
from eventbus.contract.routing import check_pattern
from eventbus.department.batch import Batcher, settle_batch
from eventbus.department.consumer import Bus
from eventbus.department.delivery import Delivery
from eventbus.department.health import Health
from eventbus.department.outcomes import Blocked, Done, InHand, Later, Permanent, Transient
from eventbus.department.recovery import HandlerTimeoutError, WrongOutcomeError

BATCH_MAX = 1000
Handler = TypeVar("Handler", bound=Callable[..., Any])


class Subscribe(Entrypoint):
    """Hands every event whose routing key matches to the method, and settles it by what that returns or raises."""

    bus = Bus()
    health = Health()

    def __init__(self, *patterns: str, batch: int | None = None, within_s: float = 0.1, reports: bool = True) -> None:
        super().__init__(expected_exceptions=(Transient, Blocked, Permanent))
        self.patterns = tuple(check_pattern(pattern) for pattern in patterns)
        self.batch = batch
        self.within_s = within_s
        self.reports = reports
        self._batcher: Batcher | None = None

    def setup(self) -> None:
        self.timeout_s = self.container.config["settings"].handler_timeout_s
        if self.batch is not None:
            self._batcher = Batcher(self.batch, self.within_s, self._spawn_batch)
        self.bus.register(self)

    def stop(self) -> None:
        self.bus.drain()

    def kill(self) -> None:
        self.bus.kill()

    def begin(self, delivery: Delivery, event: Event[Any]) -> None:
        """Start a worker on the event, or add it to the batch. Blocks while all workers are busy."""
        if self._batcher is not None:
            self._batcher.add(delivery)
        else:
            self._spawn([delivery], (event,), partial(self._settle_one, delivery))

    def cut(self) -> None:
        """Start what has been gathered for a batch."""
        if self._batcher is not None:
            self._batcher.cut()

    def take_gathered(self) -> list[Delivery]:
        """What has been gathered for a batch; it is not started."""
        return self._batcher.take() if self._batcher is not None else []

    def still_ours(self, context: Any) -> bool:
        """Whether the worker that is about to start still has something to do. Waiting for a worker took its time: what
        was given back meanwhile, or came over a connection that is gone, is not run."""
        deliveries = []
        for delivery in context.data["deliveries"]:
            if not delivery.settled and delivery.session.error is None:
                deliveries.append(delivery)
            else:
                self.bus.release(delivery)
        context.data["deliveries"][:] = deliveries
        if self.batch is not None:
            context.args = ([d.event for d in deliveries],)
        return bool(deliveries)

    def release(self, context: Any) -> None:
        """Called when a worker has ended, however: what it did not settle goes back to the queue."""
        for delivery in context.data["deliveries"]:
            self.bus.release(delivery)

    def _spawn(self, deliveries: list[Delivery], args: tuple[Any, ...], handle_result: Callable[..., Any]) -> None:
        event = deliveries[0].event
        assert event is not None
        data: dict[str, Any] = {"deliveries": deliveries}
        if len(deliveries) == 1:
            data["log"] = {"order": event.subject, "event_id": event.id}
        if event.traceparent:
            data["traceparent"] = event.traceparent
        self.container.spawn_worker(self, args, {}, context_data=data, handle_result=handle_result)

    def _spawn_batch(self, deliveries: list[Delivery]) -> None:
        self._spawn(deliveries, ([d.event for d in deliveries],), partial(self._settle_all, deliveries))

    def _settle_one(self, delivery: Delivery, _context: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        self.bus.settle(delivery, outcome_of(result, exc_info))
        return result, exc_info

    def _settle_all(self, deliveries: list[Delivery], context: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        def call(event: Event[Any]) -> Any:
            return getattr(context.service, self.method_name)([event])

        settle_batch(self.bus, deliveries, result, exc_info, call, self.timeout_s)
        return result, exc_info


def outcome_of(result: Any, exc_info: Any) -> Any:
    """What a handler's return value or exception means: any other return value is an error, never success."""
    if exc_info is not None:
        error = exc_info[1]
        if isinstance(error, Exception):
            return error
        return HandlerTimeoutError(f"the handler was ended by {type(error).__name__}")
    if isinstance(result, Done | Later | InHand):
        return result
    return WrongOutcomeError(f"a handler returns Done, Later or InHand, not {type(result).__name__}")


def subscribe(
    *patterns: str, batch: int | None = None, within_s: float = 0.1, reports: bool = True
) -> Callable[[Handler], Handler]:
    """Make a method of a department the handler of these routing-key patterns.

    Args:
        patterns: such as `order.created.*`. Different handlers of a department must not share a key.
        batch: None: the method takes one `Event` and returns `Done`, `Later` or `InHand`. A number: it takes a list
            of at most so many, which may hold repeats, and is one transaction: what it raises means that nothing was
            committed. It returns None (all done) or a list of outcomes.
        within_s: how long a batch may wait to be filled, seconds.
        reports: whether results are published. Only the tracker's are not.

    Raises:
        ValueError: a pattern that no routing key can match, or a batch out of bounds.
    """
    if not patterns:
        raise ValueError("subscribe needs at least one routing-key pattern")
    if batch is not None and not 1 <= batch <= BATCH_MAX:
        raise ValueError(f"a batch has 1 to {BATCH_MAX} events")

    def register(handler: Handler) -> Handler:
        register_entrypoint(handler, Subscribe(*patterns, batch=batch, within_s=within_s, reports=reports))
        return handler

    return register
