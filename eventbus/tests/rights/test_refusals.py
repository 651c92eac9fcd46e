"""Each user may do on a real broker exactly what the table of operations says, and is refused all else."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from eventbus.operator.connection import connected
from eventbus.testing.broker import Broker, Node
from pika.exceptions import ChannelClosedByBroker

from eventbus import rights

from .operations import DEPARTMENTS, OPERATIONS, USERS, Operation, table

DOCS = Path(__file__).parents[3] / "docs"
ACCESS_REFUSED, IN_USE_OR_OTHERWISE = 403, 406


@pytest.fixture(scope="module")
def company(broker_node: Node) -> Iterator[Broker]:
    """A virtual host with what all share and three departments."""
    with Broker(broker_node) as broker:
        broker.declare_shared()
        for department in DEPARTMENTS.values():
            broker.declare(department)
        yield broker


@pytest.fixture(scope="module")
def connections(company: Broker) -> Iterator[Mapping[str, Any]]:
    """One of each user."""
    with ExitStack() as stack:
        yield {user: stack.enter_context(connected(company.url_of(user))) for user in USERS}


def is_allowed(connection: Any, operation: Operation) -> bool:
    channel = connection.channel()
    try:
        operation.do(channel)
    except ChannelClosedByBroker as error:
        if error.reply_code not in (ACCESS_REFUSED, IN_USE_OR_OTHERWISE):
            raise
        return bool(error.reply_code != ACCESS_REFUSED)
    channel.close()
    return True


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.what)
def test_operation_is_refused_to_all_but_those_who_need_it(
    company: Broker, connections: Mapping[str, Any], operation: Operation
) -> None:
    allowed = set()
    for user in USERS:
        if is_allowed(connections[user], operation):
            allowed.add(user)
            if operation.undo:
                with company.channel() as channel:
                    operation.undo(channel)
    assert allowed == operation.allowed


def test_page_for_operators_shows_the_same_table() -> None:
    lines = table()
    assert "\n".join(lines) in (DOCS / "operations.md").read_text(), "docs/operations.md should have:\n" + "\n".join(
        lines
    )


def test_page_for_newcomers_shows_the_rights_of_the_table() -> None:
    own = rights.department("loyalty")
    shown = (DOCS / "joining.md").read_text().split("**Log in**")[1].split("## ")[0]
    for right in ("configure", "write", "read"):
        assert re.search(rf"^{right} +{re.escape(getattr(own, right))}$", shown, re.MULTILINE)
    for row in own.topic[:2]:
        assert re.search(rf"{row.exchange}: write {re.escape(row.write)} +read {re.escape(row.read)}", shown)
    assert "retry.* (each): write ^loyalty$ read ^$" in shown
