"""Whose fault a refusal is. SAP refuses everybody (login, authorization, service gone): the bridge has to pause. Or
this order alone: pausing for it again and again would hold up all others, so it is parked.

The answer cannot tell the two apart; what happens to others can. An order that was refused remembers when. If others
have been booked since, SAP does not refuse everybody.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from eventbus.department.ledger import Entry

from sap_bridge.client import Answer, Call, Found
from sap_bridge.errors import Verdict

REFUSED = "refused"
"""Key in the ledger's `extra`."""
ALONE_MAX = 3
"""So often an order may be refused while others are booked. One such time may be an authorization given just then."""
ALONE_FOR = timedelta(minutes=10)
"""So long, too: where one of SAP's servers refuses and another books, chance alone refuses some orders three times."""
EVERYBODYS = (Verdict.AUTH, Verdict.CONFIG)
IN_DOUBT = (403, 404)
"""Statuses with which SAP refuses an order in its own words, and with which it speaks of a service that was shut."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer, read in the light of what else happened."""

    answer: Answer
    extra: Mapping[str, Any]
    """What the order's row has to remember."""


def judged(entry: Entry, answer: Answer, now: datetime, booked_since: Callable[[datetime], bool]) -> Judged:
    """The answer to a booking, with another verdict if SAP refused the order while it booked others: RETRY, so that
    nobody waits for it, and PERMANENT in the end.

    Args:
        entry: the order's row, as it was sent.
        answer: to that call.
        now: by the ledger's clock.
        booked_since: whether another order was sent and booked after that moment.
    """
    extra = {name: value for name, value in entry.extra.items() if name != REFUSED}
    if answer.call is not Call.CREATE or answer.verdict not in EVERYBODYS:
        return Judged(answer, extra if answer.verdict is Verdict.PERMANENT else entry.extra)
    earlier = entry.extra.get(REFUSED)
    if earlier is None:
        return Judged(answer, extra | {REFUSED: {"first": now.isoformat(), "at": now.isoformat(), "alone": 0}})
    others_booked = booked_since(datetime.fromisoformat(earlier["at"]))
    alone = earlier["alone"] + others_booked
    if alone >= ALONE_MAX and now - datetime.fromisoformat(earlier["first"]) >= ALONE_FOR:
        reason = f"{answer.reason}; {alone} times while other orders were booked"
        return Judged(replace(answer, verdict=Verdict.PERMANENT, reason=reason), extra)
    remembered = extra | {REFUSED: earlier | {"at": now.isoformat(), "alone": alone}}
    return Judged(replace(answer, verdict=Verdict.RETRY) if others_booked else answer, remembered)


def needs_look_up(answer: Answer) -> bool:
    """Whether a look-up has to show first that SAP still talks to us: a service that was shut refuses each order."""
    return answer.verdict is Verdict.PERMANENT and answer.status in IN_DOUBT


def after_look_up(answer: Answer, found: Found | Answer) -> Answer:
    """The refusal, in the light of that look-up. What refuses the look-up, too, is no matter of the order."""
    if isinstance(found, Found):
        return answer
    return replace(found, reason=f"{answer.reason}; look-up: {found.reason}")
