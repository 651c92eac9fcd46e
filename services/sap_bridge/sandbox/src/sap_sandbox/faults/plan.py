"""The rules in force, in the order in which they were added. They live in memory: a restart forgets them."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sap_sandbox.faults.identify import Identified
from sap_sandbox.faults.rule import Rule

RULES_MAX = 1000


class PlanFullError(Exception):
    """No further rule is taken."""


@dataclass
class Entry:
    """A rule with its number and how often it struck."""

    id: int
    rule: Rule
    fired: int = 0
    due_at: float = 0.0
    """For a rule with `every_s`: when it strikes next, by the plan's clock."""

    @property
    def left(self) -> int | None:
        """How often it will strike yet; None is without end."""
        return None if self.rule.count is None else self.rule.count - self.fired

    def as_json(self) -> dict[str, Any]:
        """The rule with its `id`, `fired` and `left`."""
        return {"id": self.id, **self.rule.as_json(), "fired": self.fired, "left": self.left}


class FaultPlan:
    """All rules of the process.

    Args:
        expire_sessions: ends all sessions.
        clock: seconds, never going back.
    """

    def __init__(self, expire_sessions: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._expire_sessions, self._clock = expire_sessions, clock
        self._entries: dict[int, Entry] = {}
        self._ids = itertools.count(1)
        self._is_ending = asyncio.Event()
        self._chance = random.Random()  # noqa: S311 - chance, no secret

    def add(self, rule: Rule) -> Entry:
        """Put the rule at the end.

        Raises:
            PlanFullError: there are `RULES_MAX` already.
        """
        if len(self._entries) >= RULES_MAX:
            raise PlanFullError(f"at most {RULES_MAX} rules")
        entry = Entry(next(self._ids), rule, due_at=self._clock() + (rule.every_s or 0))
        self._entries[entry.id] = entry
        return entry

    def entries(self) -> list[Entry]:
        """All, those that are used up included."""
        self.keep_time()
        return list(self._entries.values())

    def remove(self, entry_id: int) -> bool:
        """Take that one out. Returns whether it was there."""
        return self._entries.pop(entry_id, None) is not None

    def clear(self) -> int:
        """Take all out. Returns how many there were."""
        count = len(self._entries)
        self._entries.clear()
        return count

    def strike(self, call: Identified) -> Entry | None:
        """The first rule that hits this call; it counts as fired."""
        for entry in self._entries.values():
            rule = entry.rule
            if entry.left == 0 or not rule.fits(call):
                continue
            if rule.probability is None or self._chance.random() < rule.probability:
                entry.fired += 1
                return entry
        return None

    def give_back(self, entry: Entry) -> None:
        """The booking that it was to follow was refused: it counts as not fired."""
        entry.fired -= 1

    async def pause(self, entry: Entry) -> None:
        """Wait for the rule's `seconds`, less where the process ends: what was taken is booked first."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_ending.wait(), entry.rule.seconds or 0)

    def end_pauses(self) -> None:
        """Nobody waits from now on."""
        self._is_ending.set()

    def keep_time(self) -> None:
        """Let the rules with `every_s` strike that are due: sessions end before anybody can use them again."""
        now = self._clock()
        for entry in self._entries.values():
            every_s = entry.rule.every_s
            if every_s is None or entry.left == 0 or now < entry.due_at:
                continue
            missed = int((now - entry.due_at) / every_s)
            entry.due_at += (missed + 1) * every_s
            entry.fired += 1
            self._expire_sessions()
