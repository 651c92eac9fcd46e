"""Whether everybody's queue stands again on a broker that came back empty."""

import time
from collections.abc import Callable, Iterable

from eventbus.contract.routing import RESERVED_DEPARTMENT, TRACKER_PATTERNS
from eventbus.operator.check import Broker
from eventbus.operator.management import Management

from eventbus import topology
from orders.rebuild.errors import RefusedError
from orders.rebuild.history import Member

POLL_S = 1.0


def unready(management: Management, members: Iterable[Member]) -> list[str]:
    """A line for each department that would not get everything now: what is missing of its queue and its bindings.

    The tracker is one of them, also where it never announced itself: it takes what the others report.

    Raises:
        UnreachableError: the management API does not answer.
    """
    broker = Broker(management)
    wanted = {RESERVED_DEPARTMENT: TRACKER_PATTERNS} | {member.name: member.patterns for member in members}
    lines = []
    for name, patterns in sorted(wanted.items()):
        if name not in broker.queues:
            lines.append(f"{name}: has no queue")
            continue
        own = topology.department(name, patterns).bindings
        if missing := [b for b in own if b.queue == name and b not in broker.bindings]:
            what = ", ".join(f"{b.routing_key!r} on {b.exchange}" for b in missing)
            lines.append(f"{name}: its queue is not bound by {what}")
    return lines


def wait_ready(look: Callable[[], list[str]], deadline_s: float, tell: Callable[[list[str]], None]) -> None:
    """Wait until `look` finds nobody unready; `tell` hears whom it waits for, whenever that changes.

    Raises:
        RefusedError: somebody is not ready after that time.
    """
    deadline = time.monotonic() + deadline_s
    told: list[str] = []
    while lines := look():
        if lines != told:
            tell(lines)
            told = lines
        if time.monotonic() + POLL_S > deadline:
            raise RefusedError(
                f"not everybody is ready after {deadline_s:g} s: {'; '.join(lines)}. Start them, or take off the bus "
                f"who is gone for good (bus leave <department> --force); nothing was published"
            )
        time.sleep(POLL_S)
