"""Calling a department's handler without a broker."""

import inspect
from collections.abc import Sequence
from typing import Any, overload

from eventbus.contract import CONTENT_TYPE, Event, decode
from eventbus.contract.envelope import QUALIFYING_FIELD
from eventbus.contract.routing import matches


def routing_key_of(event: Event[Any]) -> str:
    """Under which routing key the event is published."""
    qualifier = QUALIFYING_FIELD.get(event.type)
    return f"{event.type}.{getattr(event.data, qualifier)}" if qualifier else event.type


@overload
def deliver(service: Any, event: Event[Any], **dependencies: Any) -> Any: ...
@overload
def deliver(service: Any, event: Sequence[Event[Any]], **dependencies: Any) -> list[Any]: ...
def deliver(service: Any, event: Event[Any] | Sequence[Event[Any]], **dependencies: Any) -> Any:
    """The outcome of the handler whose pattern matches the event: `Done`, `Later` or `InHand`.

    What the handler raises is raised: `pytest.raises(Permanent)`. The event is encoded and decoded on its way, as on
    the bus. Nothing is retried, reported or parked: that is the runtime's, and the same for all departments.

    Args:
        service: the department's class, or an instance of it that has its dependencies.
        event: one event, or several for a batch handler (then a list of outcomes is returned).
        dependencies: stand in for the dependency providers of the class by name; the others are `MagicMock`s.

    Raises:
        LookupError: no handler matches, or the dependency is none of the class's.
        TypeError: the handler returned no outcome, which the runtime treats as a bug.
    """
    events = [event] if isinstance(event, Event) else list(event)
    received = [decode(one.encode(), CONTENT_TYPE, routing_key_of(one)) for one in events]
    worker = _worker(service, dependencies)
    name, batch = _handler(type(worker), [routing_key_of(one) for one in events])
    handler = getattr(worker, name)
    if batch is None:
        outcomes = [_checked(name, handler(one)) for one in received]
    else:
        outcomes = _of_batch(name, handler(received), len(received))
    return outcomes[0] if isinstance(event, Event) else outcomes


def _worker(service: Any, dependencies: dict[str, Any]) -> Any:
    from nameko.testing.services import worker_factory

    if not inspect.isclass(service):
        assert not dependencies, "the instance has its dependencies already"
        return service
    if unknown := dependencies.keys() - dict(inspect.getmembers(service)).keys():
        raise LookupError(f"{service.__name__} has no dependency {', '.join(sorted(unknown))}")
    return worker_factory(service, **dependencies)


def _handler(service: type[Any], keys: list[str]) -> tuple[str, int | None]:
    from eventbus.department.subscription import Subscribe

    subscribed = {
        name: entrypoint
        for name, method in inspect.getmembers(service, inspect.isfunction)
        for entrypoint in getattr(method, "nameko_entrypoints", ())
        if isinstance(entrypoint, Subscribe)
    }
    for name, entrypoint in subscribed.items():
        if all(any(matches(pattern, key) for pattern in entrypoint.patterns) for key in keys):
            return name, entrypoint.batch
    patterns = sorted(pattern for entrypoint in subscribed.values() for pattern in entrypoint.patterns)
    raise LookupError(f"{service.__name__} handles {', '.join(patterns)}: nothing for {', '.join(sorted(set(keys)))}")


def _of_batch(name: str, returned: Any, size: int) -> list[Any]:
    from eventbus.department.outcomes import Done

    if returned is None:
        return [Done()] * size
    if not isinstance(returned, list) or len(returned) != size:
        raise TypeError(f"{name} returned {returned!r}, expected None or a list of {size} outcomes")
    return [_checked(name, outcome) for outcome in returned]


def _checked(name: str, outcome: Any) -> Any:
    from eventbus.department.outcomes import Done, InHand, Later

    if not isinstance(outcome, Done | Later | InHand):
        raise TypeError(f"{name} returned {outcome!r}, expected Done, Later or InHand")
    return outcome
