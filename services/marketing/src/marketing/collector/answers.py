"""What an answer of the receiver means: a table, read from top to bottom; the first row that fits decides.

The receiver tells repeats by the event's id, so nothing here has to ask whether a failed request had its effect.
"""

import ssl
from collections.abc import Collection
from dataclasses import dataclass

from eventbus.department import Blocked, Permanent, Transient
from eventbus.department.http_target import causes_of, kinds_of, retry_after_s


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
        raise Transient(reason, retry_after=retry_after_s(retry_after) or None)  # 0: our own back-off
    if rule.verdict is not None:
        raise rule.verdict(reason)


def judge_failure(error: BaseException) -> Transient | Blocked:
    """What to raise where no answer came."""
    reason = f"no answer of the receiver: {kinds_of(error)}"
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes_of(error)):
        return Blocked(f"{reason}: its certificate is not trusted: look at COLLECTOR_CA and COLLECTOR_URL")
    return Transient(reason)
