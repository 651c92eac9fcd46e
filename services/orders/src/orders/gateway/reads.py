"""Reading orders for HTTP requests: in threads of their own, a bounded number at a time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from orders.gateway.committer import GroupCommitter
from orders.gateway.problems import ProblemError
from orders.store.outcomes import StoreUnavailableError
from orders.store.reading import READERS, OrderReader, StoredOrder

READ_WAIT_S = 3.5
"""A request waits this long, for its turn and its answer together."""
READ_WAIT_WHILE_DOWN_S = 0.5
READS_PENDING_MAX = 2_000


class Reads:
    """Reads orders in threads of its own; requests wait for their turn, and those given up are not read any more."""

    def __init__(self, reader: OrderReader, committer: GroupCommitter) -> None:
        self._reader = reader
        self._committer = committer
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._free = asyncio.Semaphore(READERS)
        self._pending = 0

    async def read(self, number: str) -> StoredOrder | None:
        """The order, or None. Raises ProblemError (503)."""
        if self._pending >= READS_PENDING_MAX:
            raise ProblemError(503, "Too many requests at once; try again.", "too-busy", retry_after_s=1)
        self._pending += 1
        try:
            async with asyncio.timeout(READ_WAIT_S if self._committer.available else READ_WAIT_WHILE_DOWN_S):
                await self._free.acquire()
                work = asyncio.get_running_loop().run_in_executor(self._threads, self._reader.read, number)
                work.add_done_callback(self._done)
                return await asyncio.shield(work)
        except (StoreUnavailableError, TimeoutError) as error:
            raise _cannot_read() from error
        finally:
            self._pending -= 1

    def close(self) -> None:
        self._reader.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, work: "asyncio.Future[StoredOrder | None]") -> None:
        self._free.release()  # only now: the thread was busy also when whoever waited had gone
        if not work.cancelled():
            work.exception()  # whoever waited may have gone


def _cannot_read() -> ProblemError:
    return ProblemError(
        503, "The orders database cannot be read now; try again.", "database-unavailable", retry_after_s=1
    )
