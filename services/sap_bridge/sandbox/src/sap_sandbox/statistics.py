"""Counters of this process, for `/_sim/stats`."""

from collections import Counter
from dataclasses import dataclass, field

NO_ANSWER = "none"


@dataclass
class Statistics:
    """What happened since the start.

    `posts` are orders sent by a caller who was let in with the right token; `answers` counts theirs by status, or under
    `NO_ANSWER`. `look_ups` are reads of sales orders.
    """

    posts: int = 0
    look_ups: int = 0
    logins: int = 0
    token_fetches: int = 0
    csrf_refusals: int = 0
    overload_refusals: int = 0
    answers: Counter[str] = field(default_factory=Counter)
