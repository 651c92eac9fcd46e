"""When the claims' threads have something to do."""

import threading
import time
from dataclasses import dataclass

from orders.relay.refusals import Refusals


@dataclass(frozen=True, slots=True)
class Errand:
    """What a claim shall take: the oldest rows of all keys that flow, or a few of one key to probe it."""

    probed_key: str | None = None


class Work:
    """Gives each hint to one thread. Nothing is given out while the link is down or blocked.

    An idle relay asks the database once for each poll, however many threads it has: a claim that came back full
    hints again, so that the next thread starts while the first one waits for its confirms.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._condition = threading.Condition()
        self._hinted = False
        self._open = False
        self._stopped = threading.Event()
        self._drain_until = 0.0

    def hint(self) -> None:
        """There may be rows."""
        with self._condition:
            self._hinted = True
            self._condition.notify()

    def open(self) -> None:
        """The link takes messages."""
        with self._condition:
            self._open = self._hinted = True
            self._condition.notify_all()

    def shut(self) -> None:
        """The link is down or blocked."""
        with self._condition:
            self._open = False

    def stop(self, drain_s: float) -> None:
        """Give out nothing more; what is in flight has that many seconds."""
        with self._condition:
            self._drain_until = time.monotonic() + drain_s
            self._stopped.set()
            self._condition.notify_all()

    @property
    def is_open(self) -> bool:
        """Whether the link takes messages."""
        return self._open

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def is_over(self) -> bool:
        """Whether the time to drain is over too."""
        return self._stopped.is_set() and time.monotonic() >= self._drain_until

    def pause(self, seconds: float) -> None:
        """Wait that long, or until `stop`."""
        self._stopped.wait(seconds)

    def take(self) -> Errand | None:
        """Wait for something to do. None: the thread shall end."""
        with self._condition:
            while not self._stopped.is_set():
                if self._open:
                    if (key := self._refusals.take_due()) is not None:
                        return Errand(key)
                    if self._hinted:
                        self._hinted = False
                        return Errand()
                self._condition.wait(self._refusals.due_in() if self._open else None)
        return None
