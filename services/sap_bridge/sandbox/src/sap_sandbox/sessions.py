"""Security sessions: a cookie and the CSRF token that belongs to it. They live in memory, as in an SAP server."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass


class TooManySessionsError(Exception):
    """No further session is given out."""


@dataclass
class Session:
    """One session. Its token never changes."""

    id: str
    token: str
    last_used: float


class Sessions:
    """All sessions of the process.

    Args:
        idle_s: a session not used for so long is gone.
        limit: more at once are not given out.
        clock: seconds, never going back.
    """

    def __init__(self, idle_s: float, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle_s, self._limit, self._clock = idle_s, limit, clock
        self._by_id: dict[str, Session] = {}

    def find(self, session_id: str) -> Session | None:
        """The living session of that id, which counts as used now."""
        session, now = self._by_id.get(session_id), self._clock()
        if session is None or now - session.last_used > self._idle_s:
            self._by_id.pop(session_id, None)
            return None
        session.last_used = now
        return session

    def create(self) -> Session:
        """A new session.

        Raises:
            TooManySessionsError: as many as allowed are alive.
        """
        if len(self._by_id) >= self._limit and self.alive() >= self._limit:
            raise TooManySessionsError(f"{self._limit} security sessions")
        session = Session(secrets.token_urlsafe(24), secrets.token_urlsafe(16), self._clock())
        self._by_id[session.id] = session
        return session

    def alive(self) -> int:
        """How many sessions are alive; forgets the others."""
        oldest = self._clock() - self._idle_s
        self._by_id = {key: session for key, session in self._by_id.items() if session.last_used >= oldest}
        return len(self._by_id)

    def end(self, session: Session) -> None:
        """End that one."""
        self._by_id.pop(session.id, None)

    def expire_all(self) -> int:
        """End all sessions. Returns how many there were."""
        count = self.alive()
        self._by_id.clear()
        return count
