"""What the processes say of their connections to the broker, and that they keep running whatever becomes of those."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from urllib.parse import quote

import requests
from eventbus.testing.waiting import wait_until

from .program import Program
from .shop import Shop

LINK_DEADLINE_S = 60.0
_UP = {"relay": "relay_link_up"}
_LOST = {"relay": "relay_links_lost_total"}
_BLOCKED = {"relay": "relay_link_blocked"}


def connected(shop: Shop) -> list[Program]:
    """The programs that have a connection to the broker."""
    kinds = ("relay", "tracker", *shop.parts.departments)
    return [program for kind in kinds for program in shop.all(kind)]


def is_up(program: Program) -> bool:
    """Whether its connection stands, as it believes."""
    return program.metric(_UP.get(_kind(program), "bus_link_up")) == 1


def is_blocked(program: Program) -> bool:
    """Whether the broker has told it that it takes no messages."""
    return program.metric(_BLOCKED.get(_kind(program), "bus_publisher_blocked")) == 1


def losses(program: Program) -> float:
    """A number that grows with every connection that ended or was made anew."""
    return program.metric(_LOST.get(_kind(program), "bus_link_generation"))


def impatience(program: Program) -> int:
    """How often it has given a connection up because nothing was confirmed on it."""
    output = program.output()
    return output.count("has confirmed nothing for") + output.count("no confirm for")


def wait_each(programs: list[Program], condition: Callable[[Program], bool], what: str) -> None:
    """Wait until the condition holds for every program."""
    for program in programs:
        wait_until(partial(condition, program), LINK_DEADLINE_S, f"{program.name} {what}")


def wait_lost(programs: list[Program], before: dict[str, float]) -> None:
    """Wait until each has lost its connection since it had these `losses`, or is without one."""
    wait_each(programs, lambda p: losses(p) > before[p.name] or not is_up(p), "lost its connection")


def wait_up(programs: list[Program]) -> None:
    """Wait until each is connected."""
    wait_each(programs, is_up, "is connected")


def close_connections(shop: Shop) -> None:
    """As the button of the management page does."""
    count = sum(1 if program in shop.all("relay") else 2 for program in connected(shop))
    listed = wait_until(
        lambda: found if len(found := shop.broker.management.connections()) >= count else None,
        60,
        "the management API lists all connections",
    )
    for connection in listed or ():
        url = f"{shop.node.management_url}/api/connections/{quote(connection['name'], safe='')}"
        assert requests.delete(url, timeout=10).status_code in (204, 404)


@contextmanager
def no_restart(shop: Shop) -> Iterator[None]:
    """No process of the shop ends within the block."""
    before = {program.name: (program.pid, program.starts) for program in shop.programs.values()}
    yield
    after = {program.name: (program.pid, program.starts) for program in shop.programs.values()}
    assert after == before, "every process goes on without a restart"


def _kind(program: Program) -> str:
    return program.name.rpartition("-")[0] or program.name
