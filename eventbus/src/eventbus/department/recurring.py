"""`@every`: a department's recurring work, such as following print jobs."""

from collections.abc import Callable
from typing import Any, TypeVar

import eventlet
from eventlet.event import Event as Signal
from nameko.extensions import Entrypoint, register_entrypoint

from eventbus.department.outcomes import Verdict
from eventbus.logs import get_logger

log = get_logger(__name__)

Work = TypeVar("Work", bound=Callable[..., Any])


class Every(Entrypoint):
    """Runs the method in a worker, again `seconds` after it has ended. What it raises is logged."""

    def __init__(self, seconds: float) -> None:
        super().__init__(expected_exceptions=(Verdict,))
        self.seconds = seconds
        self.timeout_s = 0.0
        self._stopping = Signal()
        self._ended = Signal()

    def setup(self) -> None:
        self.timeout_s = self.container.config["settings"].handler_timeout_s

    def start(self) -> None:
        self._loop = self.container.spawn_managed_thread(self._run)

    def stop(self) -> None:
        if not self._stopping.ready():
            self._stopping.send(True)
        drain_s = self.container.config["settings"].drain_s
        with eventlet.Timeout(drain_s, False):
            self._loop.wait()
        self._loop.kill()
        for context, worker in list(self.container._worker_threads.items()):
            if context.entrypoint is self:
                worker.kill()

    def kill(self) -> None:
        self._loop.kill()

    def release(self, _context: Any) -> None:
        """Called when the worker has ended, however."""
        self._ended.send(None)

    def _run(self) -> None:
        while not self._stops_within(self.seconds):
            self._ended = Signal()
            self.container.spawn_worker(self, (), {}, handle_result=self._note)
            self._ended.wait()

    def _note(self, _context: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        if exc_info is not None and isinstance(exc_info[1], Verdict):  # nameko has logged any other, as a bug
            log.warning("recurring work put off", work=self.method_name, reason=exc_info[1].reason)
        return result, exc_info

    def _stops_within(self, seconds: float) -> bool:
        with eventlet.Timeout(seconds, False):
            self._stopping.wait()
        return self._stopping.ready()


def every(seconds: float) -> Callable[[Work], Work]:
    """Run a method of a department again and again: `seconds` lie between its end and its next start.

    It is ended at the settings' `handler_timeout_s`.

    It runs in a worker, never twice at a time. What it raises is logged, a `Transient` as a warning with its reason,
    anything unknown as a bug, and it runs again.

    Raises:
        ValueError: the pause is not positive.
    """
    if seconds <= 0:
        raise ValueError("every needs a positive number of seconds")

    def register(work: Work) -> Work:
        register_entrypoint(work, Every(seconds))
        return work

    return register
