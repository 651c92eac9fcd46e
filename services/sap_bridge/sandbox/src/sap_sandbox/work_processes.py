"""A fixed number of work processes with a bounded queue before them. What a client sent is worked on to its end."""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from eventbus.logs import get_logger

ResultT = TypeVar("ResultT")

LATENCY_MAX_S = 600.0
"""SAP ends a dialog step that runs longer (`rdisp/max_wprun_time`, default)."""

_log = get_logger(__name__)


class OverloadedError(Exception):
    """All work processes are busy and the queue is full."""


class Latency:
    """A log-normal span of time: half of all are below the median."""

    def __init__(self, median_ms: float, sigma: float, source: random.Random) -> None:
        self._median_s, self._sigma, self._source = median_ms / 1000, sigma, source

    async def pass_by(self) -> None:
        """Wait for as long as the work would take."""
        if self._median_s > 0:
            span = self._source.lognormvariate(math.log(self._median_s), self._sigma)
            await asyncio.sleep(min(span, LATENCY_MAX_S))


class WorkProcesses:
    """Works on `count` dialog steps at once and lets `queue_max` more wait."""

    def __init__(self, count: int, queue_max: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._in_hand_max = count + queue_max
        self._tasks: set[asyncio.Task[Any]] = set()
        self.busy = self.busy_max = self.in_hand_max = 0

    @property
    def in_hand(self) -> int:
        """Dialog steps that are worked on or wait."""
        return len(self._tasks)

    async def run(self, step: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """The step's result. The step goes on when the caller is cancelled or its client is gone.

        Raises:
            OverloadedError: the step was not begun and never will be.
        """
        if self.in_hand >= self._in_hand_max:
            raise OverloadedError(f"{self._in_hand_max} requests in hand")
        task = asyncio.get_running_loop().create_task(self._work(step))
        self._tasks.add(task)
        self.in_hand_max = max(self.in_hand_max, self.in_hand)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Return when every step that was begun or waits has ended."""
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, BaseException):
                _log.error("dialog step failed", exc_info=result)

    async def _work(self, step: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        async with self._free:
            self.busy += 1
            self.busy_max = max(self.busy_max, self.busy)
            try:
                return await step()
            finally:
                self.busy -= 1
