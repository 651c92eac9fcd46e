"""Which handler gets which routing key."""

from collections.abc import Callable
from typing import Any, Protocol

from eventbus.contract import Event
from eventbus.contract.department import PATTERNS_MAX
from eventbus.contract.routing import matches, overlaps
from eventbus.department.delivery import Delivery
from eventbus.settings import SettingsError


class Handler(Protocol):
    """A method of a department with its `@subscribe`."""

    method_name: Any
    patterns: tuple[str, ...]
    batch: int | None
    reports: bool

    def begin(self, delivery: Delivery, event: Event[Any]) -> None: ...

    def cut(self) -> None: ...

    def take_gathered(self) -> list[Delivery]: ...


class Handlers:
    """The handlers of one department with the patterns in force."""

    def __init__(self) -> None:
        self._patterns: dict[Handler, tuple[str, ...]] = {}
        self.retired: tuple[str, ...] = ()
        """Patterns to unbind: given up by the code, or replaced by configured ones."""

    def __contains__(self, handler: object) -> bool:
        return handler in self._patterns

    def add(self, handler: Handler) -> None:
        """Take in a handler with its own patterns."""
        self._patterns[handler] = handler.patterns

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns in force, sorted."""
        return tuple(sorted({pattern for patterns in self._patterns.values() for pattern in patterns}))

    def settle_patterns(self, configured: tuple[str, ...] | None, retired: tuple[str, ...]) -> None:
        """Put configured patterns in the place of the handlers' own.

        Args:
            configured: each goes to the handler whose own pattern it overlaps; None leaves all as they are.
            retired: patterns that the code gave up.

        Raises:
            SettingsError: a configured pattern that no handler takes, or one routing key for two handlers.
        """
        own = set(self.patterns)
        if configured is not None:
            self._configure(configured)
        if not 1 <= len(self.patterns) <= PATTERNS_MAX:
            raise SettingsError(f"patterns: expected 1 to {PATTERNS_MAX}, got {len(self.patterns)}")
        self._refuse_overlaps()
        self.retired = tuple(sorted((own | set(retired)) - set(self.patterns)))

    def _configure(self, configured: tuple[str, ...]) -> None:
        for pattern in configured:
            if not any(overlaps(pattern, own) for handler in self._patterns for own in handler.patterns):
                raise SettingsError(f"patterns: expected patterns that a handler takes, got: {pattern}")
        for handler in self._patterns:
            chosen = tuple(p for p in configured if any(overlaps(p, own) for own in handler.patterns))
            if chosen:
                self._patterns[handler] = chosen

    def _refuse_overlaps(self) -> None:
        handlers = list(self._patterns.items())
        for index, (one, patterns) in enumerate(handlers):
            for other, others in handlers[index + 1 :]:
                for pattern in patterns:
                    for second in others:
                        if overlaps(pattern, second):
                            raise SettingsError(
                                f"patterns: expected one handler for each routing key, got: {one.method_name} "
                                f"({pattern}) and {other.method_name} ({second})"
                            )

    def choose(self, routing_key: str) -> Handler | None:
        """The handler for that key, or None."""
        for handler, patterns in self._patterns.items():
            if any(matches(pattern, routing_key) for pattern in patterns):
                return handler
        return None

    def prefetch(self, max_workers: int) -> int:
        """How many deliveries may be in hand at once: a worker each, or two batches."""
        return max(2 * handler.batch if handler.batch else max_workers for handler in self._patterns)

    def pass_on_gathered(self, pass_on: Callable[[Delivery], None]) -> None:
        """Hand what has been gathered for batches, and not been started, to `pass_on`."""
        for handler in self._patterns:
            for delivery in handler.take_gathered():
                pass_on(delivery)

    def cut_batches(self) -> None:
        """Start what has been gathered for batches."""
        for handler in self._patterns:
            handler.cut()
