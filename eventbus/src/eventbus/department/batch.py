"""Batches: events gathered for a handler that takes many in one transaction."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import eventlet

from eventbus.contract import Event
from eventbus.department.delivery import Delivery
from eventbus.department.outcomes import Blocked, Done, InHand, Later, Transient
from eventbus.department.recovery import HandlerTimeoutError, Retry, WrongOutcomeError, unstarted


class Batcher:
    """Gathers deliveries and hands them on when there are enough, or after a while."""

    def __init__(self, size: int, within_s: float, start: Callable[[list[Delivery]], None]) -> None:
        self._size = size
        self._within_s = within_s
        self._start = start
        self._gathered: list[Delivery] = []
        self._timer: Any = None

    def add(self, delivery: Delivery) -> None:
        """Gather one more. Blocks while all workers are busy and the batch is full."""
        self._gathered.append(delivery)
        if len(self._gathered) >= self._size:
            self.cut()
        elif self._timer is None:
            self._timer = eventlet.spawn_after(self._within_s, self._timed_cut)

    def _timed_cut(self) -> None:
        self._timer = None
        self.cut()

    def cut(self) -> None:
        """Hand on what has been gathered."""
        if gathered := self.take():
            self._start(gathered)

    def take(self) -> list[Delivery]:
        """What has been gathered; it is no longer here."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered = self._gathered, []
        return gathered


class Settles(Protocol):
    """What settles deliveries: the department's bus."""

    def settle(self, delivery: Delivery, outcome: Any, *, counts: bool = True) -> None: ...

    def pass_on(self, delivery: Delivery, retry: Retry) -> None: ...


def settle_batch(
    bus: Settles,
    deliveries: list[Delivery],
    result: Any,
    exc_info: Any,
    call: Callable[[Event[Any]], Any],
    timeout_s: float,
) -> None:
    """Settle every delivery of a batch whose handler returned or raised this.

    A bug or a `Permanent` has the handler called again for each event alone, in the same worker and within one limit;
    a dead target has not: its events go to their tiers, as one failure for the breaker. What is left when a single
    call meets a dead target is passed on unstarted.
    """
    if exc_info is None:
        _settle_each(bus, deliveries, _outcomes(result, len(deliveries)))
        return
    error = exc_info[1]
    if not isinstance(error, Exception):
        error = HandlerTimeoutError(f"the handler was ended by {type(error).__name__}")
    if len(deliveries) == 1 or isinstance(error, Transient | Blocked | HandlerTimeoutError):
        _settle_each(bus, deliveries, [error] * len(deliveries), one_failure=True)
        return
    dead, deadline = False, monotonic() + timeout_s
    for delivery in deliveries:
        assert delivery.event is not None
        if dead:
            bus.pass_on(delivery, unstarted(delivery.headers, delivery.routing_key))
            continue
        outcome = _alone(call, delivery.event, max(0.001, deadline - monotonic()))
        dead = isinstance(outcome, Transient | Blocked | HandlerTimeoutError)
        bus.settle(delivery, outcome)


def _alone(call: Callable[[Event[Any]], Any], event: Event[Any], timeout_s: float) -> Any:
    try:
        with eventlet.Timeout(timeout_s, HandlerTimeoutError(f"the handler took longer than {timeout_s:g} s")):
            return _outcomes(call(event), 1)[0]
    except Exception as error:  # noqa: BLE001 - whatever a handler raises decides its event's fate
        return error
    except eventlet.Timeout:
        return HandlerTimeoutError("the handler was ended by a time-out of its own")


def _outcomes(result: Any, count: int) -> list[Any]:
    if result is None:
        return [Done()] * count
    if isinstance(result, list) and len(result) == count and all(isinstance(r, Done | Later | InHand) for r in result):
        return result
    wrong = WrongOutcomeError(f"a batch of {count} returns None or {count} outcomes, not {type(result).__name__}")
    return [wrong] * count


def _settle_each(bus: Settles, deliveries: list[Delivery], outcomes: list[Any], *, one_failure: bool = False) -> None:
    # each in a greenlet of its own, so that their publishes share the way to the broker and back
    pool = eventlet.GreenPool(size=max(1, len(deliveries)))
    for index, (delivery, outcome) in enumerate(zip(deliveries, outcomes, strict=True)):
        pool.spawn(bus.settle, delivery, outcome, counts=not one_failure or index == 0)
    pool.waitall()
