"""The table of rights: what it says of each user, and that nothing slips past it."""

import re

import pytest
from eventbus.contract.routing import matches

from eventbus import rights, topology

USERS = ("printer", "orders", rights.RELAY, rights.TOPOLOGY, rights.OPERATOR)


def test_department_owns_what_bears_its_name_and_no_more() -> None:
    own = rights.department("printer")
    assert own.configure == r"^printer(\.dead)?$"
    assert own.write == r"^(printer(\.dead)?|events|dead|retry\.(1s|10s|1m|10m|1h))$"
    assert own.read == r"^(printer(\.dead)?|events|departments|dead)$"
    assert own.tags == ()
    events, dead, *tiers = own.topic
    assert (events.write, events.read) == (r"^(order\.progressed|department\.joined)\.printer$", r"^order\.")
    assert (dead.write, dead.read) == ("^printer$", "^printer$")
    assert [(t.exchange, t.write, t.read) for t in tiers] == [(n, "^printer$", "^$") for n in topology.TIER_NAMES]


def test_tracker_hears_reports_and_announcements_and_reports_nothing() -> None:
    events = rights.of("orders").topic[0]
    heard = ("order.progressed.*", "department.joined.*", "department.left.*")
    assert all(re.search(events.read, pattern) for pattern in heard)
    assert not re.search(events.read, "order.created.*")
    assert events.write == r"^department\.joined\.orders$"


def test_relay_publishes_orders_and_nothing_else() -> None:
    own = rights.of("orders-relay")
    assert (own.configure, own.write, own.read) == ("^$", "^events$", "^$")
    assert [(row.exchange, row.write, row.read) for row in own.topic] == [
        ("events", r"^order\.(created|cancelled)\.", "^$")
    ]


@pytest.mark.parametrize("user", USERS)
def test_every_topic_exchange_in_reach_has_a_row(user: str) -> None:
    """Without one RabbitMQ lets every key pass."""
    own = rights.of(user)
    topics = {exchange.name for exchange in topology.shared().exchanges if exchange.type == "topic"}
    within_reach = {name for name in topics if re.search(own.write, name) or re.search(own.read, name)}
    assert within_reach == {row.exchange for row in own.topic}


def test_department_that_hears_more_may_bind_that_and_no_wider() -> None:
    read = rights.of("printer", ("order", "customer")).topic[0].read
    assert read == r"^(customer|order)\."
    assert matches("customer.moved.*", "customer.moved.north")
    assert re.search(read, "customer.moved.*")
    assert not re.search(read, "#")
    assert not re.search(read, "*.created.*")


@pytest.mark.parametrize("name", ["events", "dead", "unclaimed", "archive", "departments", "a-b", "Printer", "x\n", ""])
def test_name_that_no_department_can_have_gets_no_rights(name: str) -> None:
    with pytest.raises(ValueError, match="expected orders-relay, bus-topology, bus-operator, orders, or a department"):
        rights.of(name)


@pytest.mark.parametrize("nouns", [(), ("",), (".*",), ("order.created",), ("order", "#")])
def test_noun_that_is_none_is_refused(nouns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected nouns such as order"):
        rights.of("printer", nouns)
