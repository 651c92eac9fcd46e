"""SQLite: a lock beside the file lets one relay in. The kernel frees it when that one dies."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from eventbus.logs import get_logger

RETRY_S = 0.5

log = get_logger(__name__)


class OnlyRelay:
    """The lock on `<database file>.relay.lock`."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.relay.lock")
        self._descriptor: int | None = None

    def acquire(self, wait: Callable[[float], None], given_up: Callable[[], bool]) -> bool:
        """Wait until the lock is ours. False when `given_up` said so; `wait` sleeps that many seconds or less."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        waiting = False
        while not given_up():
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waiting:
                    log.info("waiting for the other relay", lock=str(self.path), reason="SQLite takes one at a time")
                waiting = True
                wait(RETRY_S)
            else:
                self._descriptor = descriptor
                return True
        os.close(descriptor)
        return False

    def release(self) -> None:
        """Let the next relay in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
