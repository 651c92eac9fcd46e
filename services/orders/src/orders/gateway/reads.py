"""Reading orders for HTTP requests: in threads of their own, a bounded number at a time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from orders.gateway.committer import GroupCommitter
from orders.gateway.problems import ProblemError
from orders.store.outcomes import StoreUnavailableError
from orders.store.reading import READERS, OrderReader, StoredOrder

READ_WAIT_S = 3.5
READ_WAIT_WHILE_DOWN_S = 0.5
READS_PENDING_MAX = 200


class Reads:
    """Reads orders in threads of its own, a bounded number at a time."""

    def __init__(self, reader: OrderReader, committer: GroupCommitter) -> None:
        self._reader = reader
        self._committer = committer
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._pending = 0

    async def read(self, number: str) -> StoredOrder | None:
        """The order, or None. Raises ProblemError (503)."""
        if self._pending >= READS_PENDING_MAX:
            raise _cannot_read()
        self._pending += 1
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._reader.read, number)
        work.add_done_callback(self._done)
        try:
            async with asyncio.timeout(READ_WAIT_S if self._committer.available else READ_WAIT_WHILE_DOWN_S):
                return await asyncio.shield(work)
        except (StoreUnavailableError, TimeoutError) as error:
            raise _cannot_read() from error

    def close(self) -> None:
        self._reader.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, work: "asyncio.Future[StoredOrder | None]") -> None:
        self._pending -= 1
        if not work.cancelled():
            work.exception()  # whoever waited may have gone


def _cannot_read() -> ProblemError:
    return ProblemError(
        503, "The orders database cannot be read now; try again.", "database-unavailable", retry_after_s=1
    )
