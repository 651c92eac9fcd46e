"""The group committer: one thread, and each commit takes what gathered while the last one ran. No artificial delay."""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from eventbus.logs import get_logger

from orders.gateway import problems
from orders.gateway.metrics import GatewayMetrics
from orders.model import PlacedOrder
from orders.store.commit import BATCH_MAX, OrderStore
from orders.store.outcomes import Answer, Found, OutcomeUnknownError, StoreUnavailableError

QUEUE_MAX = 2_000
WAIT_S = 5.0
"""A request waits this long, then it is withdrawn, or told that its outcome is unknown."""
PROBE_S = 0.5
START_WAIT_S = 2.0
"""At its start the gateway listens as soon as the schema is there, or after this time without it."""
_SWEEP_S = 0.25

_log = get_logger(__name__)


class _Waiting:
    __slots__ = ("arrived", "future", "order")

    def __init__(self, order: PlacedOrder, future: "asyncio.Future[Answer]") -> None:
        self.order = order
        self.future = future
        self.arrived = time.monotonic()


class GroupCommitter:
    """Stores orders for many requests at once. All but the commit itself happens on the event loop's thread.

    Args:
        open_store: makes the store; called with what the store calls when the database cannot be reached.
        upgrade: brings the schema up to date; raises while the database is away. Called at start and after each loss,
            with what says that it need not wait for another process's migration any more.
    """

    def __init__(
        self,
        open_store: Callable[[Callable[[], None]], OrderStore],
        upgrade: Callable[[Callable[[], bool]], None],
        metrics: GatewayMetrics,
    ) -> None:
        self._open_store = open_store
        self._upgrade = upgrade
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._in_flight: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._first_available = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = threading.Event()
        self.available = False
        metrics.watch_orders(lambda: len(self._queue), lambda: len(self._in_flight))

    async def start(self) -> None:
        """Begin, on the running loop. Orders are refused until the schema is there, for which this waits a moment."""
        self._loop = asyncio.get_running_loop()
        self._store = self._open_store(lambda: self._on_loop(self._refuse))
        self._tasks = [self._loop.create_task(self._run()), self._loop.create_task(self._sweep())]
        with contextlib.suppress(TimeoutError):  # without its database a gateway answers 503, which beats not listening
            await asyncio.wait_for(self._first_available.wait(), START_WAIT_S)

    async def close(self) -> None:
        """End after the commit under way. What is queued still is refused."""
        self._closing.set()
        self._refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.run_in_executor(self._thread, self._store.close)
        self._thread.shutdown()

    def submit(self, order: PlacedOrder) -> "asyncio.Future[Answer]":
        """What becomes of the order, within five seconds.

        Raises:
            ProblemError: (here or by the future) it is not stored, or, of kind `outcome-unknown`, may be.
        """
        if not self.available:
            raise problems.database_unavailable()
        if len(self._queue) >= QUEUE_MAX:
            raise problems.too_busy()
        waiting = _Waiting(order, self._loop.create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return waiting.future

    async def _run(self) -> None:
        while True:
            if not self.available:
                await self._make_available()
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue and self.available:
                self._in_flight = self._next_batch()
                await self._loop.run_in_executor(self._thread, self._commit, self._in_flight)
                self._in_flight = []

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < BATCH_MAX:
            waiting = self._queue.popleft()
            if not waiting.future.done():  # withdrawn
                batch.append(waiting)
        return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        """In the committer's thread: commit, answer, then wake the relays."""
        if not batch:
            return
        began = time.monotonic()
        try:
            answers = self._store.commit([waiting.order for waiting in batch])
        except (StoreUnavailableError, OutcomeUnknownError) as error:
            self._on_loop(self._fail, batch, error)
        except Exception:  # noqa: BLE001 - a bug: those who wait must hear of it, and the next batch has its chance
            _log.exception("a commit failed because of a bug", orders=len(batch))
            self._on_loop(self._settle, batch, [problems.internal_error()] * len(batch))
        else:
            self._on_loop(self._settle, batch, answers)
            self._metrics.commit_seconds.observe(time.monotonic() - began)
            self._metrics.commit_orders.observe(len(batch))
            if any(isinstance(answer, Found) and answer.new for answer in answers):
                self._store.wake_relay()

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)

    def _settle(self, batch: list[_Waiting], answers: list[Answer | problems.ProblemError]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, problems.ProblemError):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        unknown = isinstance(error, OutcomeUnknownError)
        self._metrics.commit_failures.labels("unknown" if unknown else "unavailable").inc()
        outcome = "unknown" if unknown else "not stored"
        _log.warning("a commit failed", orders=len(batch), outcome=outcome, reason=str(error))
        for waiting in batch:
            if not waiting.future.done():
                waiting.future.set_exception(problems.outcome_unknown() if unknown else problems.database_unavailable())
        self._refuse()

    def _refuse(self) -> None:
        """Answer all that wait, and refuse new ones until the database is back."""
        self.available = False
        self._metrics.database_up.set(0)
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.future.done():
                waiting.future.set_exception(problems.database_unavailable())
        self._arrived.set()  # `_run` looks for the database

    async def _make_available(self) -> None:
        told = ""
        while True:
            try:
                await self._loop.run_in_executor(self._thread, self._upgrade, self._closing.is_set)
            except (sa.exc.DBAPIError, OSError) as error:
                reason = type(getattr(error, "orig", error)).__name__
                if reason != told:
                    _log.warning("the database is away, orders are refused with 503", reason=reason)
                    told = reason
            except Exception as error:  # noqa: BLE001 - whatever is wrong, orders are refused until it is mended
                if repr(error) != told:
                    _log.exception("the schema cannot be brought up to date, orders are refused with 503")
                    told = repr(error)
            else:
                break
            await asyncio.sleep(PROBE_S)
        if told:
            _log.info("the database is back")
        self.available = True
        self._first_available.set()
        self._metrics.database_up.set(1)

    async def _sweep(self) -> None:
        """Withdraw what has waited too long; what is in a commit is told that its outcome is unknown."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            latest = time.monotonic() - WAIT_S
            while self._queue and self._queue[0].arrived < latest:
                waiting = self._queue.popleft()
                if not waiting.future.done():
                    waiting.future.set_exception(problems.too_busy())
            for waiting in self._in_flight:
                if waiting.arrived < latest and not waiting.future.done():
                    waiting.future.set_exception(problems.outcome_unknown())
