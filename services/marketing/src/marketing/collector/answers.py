"""What an answer of the receiver means: a table, read from top to bottom; the first row that fits decides.

The receiver tells repeats by the event's id, so nothing here has to ask whether a failed request had its effect.
"""

import ssl
from collections.abc import Collection
from dataclasses import dataclass

import urllib3
from eventbus.department import Blocked, Permanent, Transient

RETRY_AFTER_S_MAX = 3600.0
_PARSER = urllib3.Retry()


@dataclass(frozen=True, slots=True)
class Rule:
    """For these statuses, this verdict; None: the order is delivered."""

    statuses: Collection[int]
    verdict: type[Transient | Blocked | Permanent] | None
    reason: str = ""


RULES = (
    Rule(range(200, 300), None),
    Rule(range(300, 400), Blocked, "a redirect, which is not followed: set COLLECTOR_URL to where it leads"),
    Rule((401, 403), Blocked, "we are not let in: look at COLLECTOR_TOKEN"),
    Rule((404, 410), Blocked, "there is nothing at that address: look at COLLECTOR_URL"),
    Rule((405, 406, 411), Blocked, "no order can be posted there: look at COLLECTOR_URL"),
    Rule((407,), Blocked, "a proxy wants a login"),
    Rule((415,), Blocked, "the body's type is refused: look at COLLECTOR_CONTENT_TYPE"),
    Rule((408, 425, 429), Transient, "not now"),
    Rule((409,), Transient, "it is at work on this order"),  # what receivers answer to a key that is in hand
    Rule(range(400, 500), Permanent, "it refuses this order"),
    Rule((), Transient, "it has failed"),
)


def judge(status: int, retry_after: str | None = None) -> None:
    """Returns where the order is delivered.

    Args:
        status: of the answer.
        retry_after: the header of that name; heard where the order is to be tried again.

    Raises:
        Transient: not now. Has the seconds that the receiver asked for, an hour at most.
        Blocked: it would refuse every order.
        Permanent: it refuses this order.
    """
    rule = next(rule for rule in RULES if not rule.statuses or status in rule.statuses)
    reason = f"the receiver answered {status}: {rule.reason}"
    if rule.verdict is Transient:
        raise Transient(reason, retry_after=seconds(retry_after))
    if rule.verdict is not None:
        raise rule.verdict(reason)


def judge_failure(error: BaseException) -> Transient | Blocked:
    """What to raise where no answer came."""
    kinds = _kinds(error)
    reason = f"no answer of the receiver: {' from '.join(dict.fromkeys(kind.__name__ for kind in kinds))}"
    if any(issubclass(kind, ssl.SSLCertVerificationError) for kind in kinds):
        return Blocked(f"{reason}: its certificate is not trusted: look at COLLECTOR_CA and COLLECTOR_URL")
    return Transient(reason)


def seconds(retry_after: str | None) -> float | None:
    """The seconds of a `Retry-After` (RFC 9110, 10.2.3: a number or a date), an hour at most; None: no wish to heed."""
    if retry_after is None:
        return None
    try:
        wished = _PARSER.parse_retry_after(retry_after)
    except (urllib3.exceptions.InvalidHeader, OverflowError, ValueError):
        return None
    return min(RETRY_AFTER_S_MAX, wished) or None  # 0, or a date that is over: our own back-off


def _kinds(error: BaseException) -> list[type[BaseException]]:
    """Of the error and of what caused it. Their texts hold the URL, which may hold a secret."""
    found: list[type[BaseException]] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        found.append(type(current))
        inside = [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
        waiting += [cause for cause in inside if isinstance(cause, BaseException)]
    return found
