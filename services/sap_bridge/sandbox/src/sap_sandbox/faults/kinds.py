"""Every fault, as data: which calls it can hit, whether the order is booked all the same, what a rule may say."""

from dataclasses import dataclass, field
from enum import StrEnum


class Call(StrEnum):
    """What a client calls."""

    CREATE = "create"
    LOOK_UP = "look-up"
    LOGIN = "login"


class Moment(StrEnum):
    """When a fault strikes a create."""

    BEFORE = "before the order is booked"
    AFTER = "after the order is booked"


EXPIRE_SESSIONS = "expire-sessions"
ALL_CALLS = (Call.CREATE, Call.LOOK_UP, Call.LOGIN)


@dataclass(frozen=True)
class Kind:
    """One fault.

    Attributes:
        does: what happens, for people.
        calls: the calls that it can hit.
        needs: fields that a rule of this fault must have, beside those that every rule may have.
        takes: fields that it may have.
    """

    name: str
    does: str
    moment: Moment = Moment.BEFORE
    calls: tuple[Call, ...] = ALL_CALLS
    needs: frozenset[str] = field(default_factory=frozenset)
    takes: frozenset[str] = field(default_factory=frozenset)


def _after(name: str, does: str, *needs: str) -> Kind:
    return Kind(name, does, Moment.AFTER, (Call.CREATE,), frozenset(needs))


_SECONDS, _RETRY = frozenset({"seconds"}), frozenset({"retry_after", "retry_after_as"})

KINDS = {
    kind.name: kind
    for kind in (
        Kind("delay-before-commit", "books, and answers, so many seconds later", needs=_SECONDS),
        _after("commit-then-delay", "books, and answers so many seconds later", "seconds"),
        Kind("drop-before-commit", "closes the connection without an answer"),
        _after("commit-then-drop", "books, then closes the connection without an answer"),
        Kind("reset-before-commit", "resets the connection"),
        _after("commit-then-reset", "books, then resets the connection"),
        _after("commit-then-cut", "books; 201 with half of its body, then the connection is closed"),
        _after("commit-then-garbled", "books; 201 with a body that is no JSON, and no Location"),
        _after("commit-then-bare", "books; 201 without a body, the number in Location only"),
        _after("commit-then-504", "books; 504 with the page of a proxy"),
        Kind("500-before-commit", "500 with an HTML page"),
        Kind("html-502", "502 with the page of a proxy"),
        Kind("429", "429, with Retry-After where retry_after is given", takes=_RETRY),
        Kind("503", "503, with Retry-After where retry_after is given", takes=_RETRY),
        Kind("lock", "400 in SAP's words: currently being processed", calls=(Call.CREATE,)),
        Kind("lock-423", "423 with an HTML page"),
        Kind("401", "401 with an HTML page"),
        Kind("403", "403 without x-csrf-token: Required"),
        Kind("csrf-required", "403 with x-csrf-token: Required; session and token stay good", calls=(Call.CREATE,)),
        Kind(EXPIRE_SESSIONS, "ends all sessions, then answers as SAP does; with every_s: by the clock",
             calls=(Call.CREATE, Call.LOOK_UP), takes=frozenset({"every_s"})),
        Kind("redirect", "302 to a logon page"),
        Kind("status", "any status, with an HTML page unless body_as is text or sap; with after_commit books first",
             needs=frozenset({"status"}), takes=_RETRY | {"after_commit", "body_as"}),
    )
}  # fmt: skip
