"""nameko's container, mended: whatever happens to a worker, its delivery is settled and the container lives on."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import eventlet
import structlog
from greenlet import GreenletExit
from nameko.containers import ServiceContainer

from eventbus.department._metrics import HANDLER_SECONDS
from eventbus.department.recovery import HandlerTimeoutError
from eventbus.logs import get_logger

log = get_logger(__name__)

HandleResult = Callable[[Any, Any, Any], tuple[Any, Any]]


class BusContainer(ServiceContainer):
    """Ends handlers at their limit, and hands every outcome to the entrypoint, `BaseException` included.

    Stock nameko 2.14 leaves a delivery unacknowledged for ever when its handler raises a `BaseException`
    (`eventlet.Timeout` is one), and dies of an exception in a dependency.
    """

    def start(self) -> None:
        """Set up and start all extensions, one after the other, in the caller's greenlet.

        Raises whatever an extension raises (SettingsError for a wrong configuration): stock nameko, which starts them
        in greenlets of their own, would print a traceback for each.
        """
        self.started = True
        in_order = [*self.subextensions, *self.entrypoints, *self.dependencies]
        for extension in in_order:
            extension.setup()
        for extension in reversed(in_order):
            extension.start()

    def _run_worker(self, worker_ctx: Any, handle_result: HandleResult | None) -> None:
        entrypoint = worker_ctx.entrypoint
        if handle_result is None or not hasattr(entrypoint, "release"):
            super()._run_worker(worker_ctx, handle_result)
            return
        if not getattr(entrypoint, "still_ours", bool)(worker_ctx):
            entrypoint.release(worker_ctx)
            return
        started_at = monotonic()
        limit_s = entrypoint.timeout_s
        limit = (
            eventlet.Timeout(limit_s, HandlerTimeoutError(f"the handler took longer than {limit_s:g} s"))
            if limit_s
            else None
        )
        handed_over = False

        def hand_over(context: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
            nonlocal handed_over
            if limit is not None:
                limit.cancel()
            handed_over = True
            HANDLER_SECONDS.labels(self.config["settings"].department).observe(monotonic() - started_at)
            return handle_result(context, result, exc_info)

        structlog.contextvars.bind_contextvars(**worker_ctx.data.get("log", {}))
        try:
            super()._run_worker(worker_ctx, hand_over)
        except GreenletExit:
            raise  # killed at the drain's deadline
        except (Exception, eventlet.Timeout):
            log.exception("failed outside the handler", handler=entrypoint.method_name)
            if not handed_over:
                hand_over(worker_ctx, None, sys.exc_info())
        finally:
            if limit is not None:
                limit.cancel()
            entrypoint.release(worker_ctx)
