"""Counts from outside what became of the orders that customers were told are accepted."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import sqlalchemy as sa
from eventbus.testing.waiting import wait_until
from eventbus.topology import ARCHIVE_FEED

from eventbus import database

from .customers import Customers
from .shop import Shop, wait_quiet_queues

FINAL = ("done", "attention")
SETTLED_WITHIN_S = 180.0


@dataclass
class Count:
    """What was found. Each entry of a list is a line for a person, beginning with the order's number.

    `repeats` are copies of an event with the same id, which consumers drop. `shown` are effects that the product itself
    declares doubtful: "possible duplicate", or `attention`.
    """

    orders: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    possible_duplicates: list[str] = field(default_factory=list)
    attention: list[str] = field(default_factory=list)
    repeats: int = 0


class Probe:
    """Takes the copies of `order.created` that an unknown department would get."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.events: defaultdict[str, Counter[tuple[str, bytes]]] = defaultdict(Counter)

    def look(self) -> None:
        for message in self._shop.broker.take_all(self._shop.probe):
            # strangers publish as well: what is no event is no order's
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                event = json.loads(message.body)
                self.events[event["subject"]][event["id"], message.body] += 1


class Auditor:
    """Counts for one shop, run by run."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.probe = Probe(shop)

    def settle(self, customers: Customers, deadline_s: float = SETTLED_WITHIN_S) -> None:
        """Wait until every accepted order is done or needs a person, and nothing is under way any more.

        Raises:
            AssertionError: some are not. The message says which, and what is left in the queues.
        """
        waiting = set(customers.numbers)

        def settled() -> bool:
            states = self.statuses(waiting)
            waiting.difference_update(n for n, order in states.items() if order.get("status") in FINAL)
            return not waiting

        try:
            wait_until(settled, deadline_s, "every order is settled")
        except AssertionError as error:
            some = {n: self.statuses([n])[n] for n in sorted(waiting)[:3]}
            raise AssertionError(
                f"{len(waiting)} of {len(customers.numbers)} orders are not settled: {some}"
            ) from error
        wait_until(lambda: self._outbox() == 0, 30, "the outbox is empty")
        # RabbitMQ repeats what a stream did not confirm after three minutes; only the archive waits for its feed
        kept = {
            "unclaimed",
            ARCHIVE_FEED,
            self._shop.probe,
            *(f"{d}.dead" for d in (*self._shop.parts.departments, "orders")),
        }
        wait_quiet_queues(self._shop.broker, kept, 60)

    def count(self, customers: Customers) -> Count:
        """What became of the orders of these customers."""
        self.probe.look()
        numbers = customers.numbers
        found = Count(orders=len(numbers))
        self._count_rows(customers, found)
        self._count_events(numbers, found)
        statuses = self.statuses(numbers)
        doubtful = self._count_statuses(statuses, found)
        for department, effects in self._effects(numbers).items():
            for number in numbers:
                if effects[number] == 0 and (number, department) not in doubtful:
                    found.lost.append(f"{number}: no effect in {department}")
                if effects[number] > 1 and (number, department) not in doubtful:
                    found.doubled.append(f"{number}: {effects[number]} times in {department}")
        if "marketing" in self._shop.parts.departments:
            counted = self.marketing_count(customers.product)
            if counted < len(numbers):
                found.lost.append(f"marketing counted {counted} of {len(numbers)} orders")
            if counted > len(numbers):
                found.doubled.append(f"marketing counted {counted} of {len(numbers)} orders")
        return found

    def statuses(self, numbers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What `GET /orders/{number}` answers; an empty mapping where no gateway answers with 200."""
        gateways = self._shop.ready_gateways()

        def status(number: str) -> tuple[str, dict[str, Any]]:
            for url in gateways:
                try:
                    answer = requests.get(f"{url}/orders/{number}", headers={"Connection": "close"}, timeout=10)
                except requests.RequestException:
                    continue
                if answer.ok:
                    return number, answer.json()
            return number, {}

        with ThreadPoolExecutor(4) as pool:
            return dict(pool.map(status, list(numbers)))

    def marketing_count(self, product: int) -> int:
        """How many orders with that product marketing has counted."""
        today = datetime.now(UTC).date()
        period = {"from": str(today - timedelta(days=2)), "to": str(today + timedelta(days=2)), "group_by": "product"}
        url = self._shop.one("marketing").url
        groups = requests.get(f"{url}/stats", params=period, timeout=30).json()["groups"]
        return next((int(group["orders"]) for group in groups if group["product"] == product), 0)

    def _effects(self, numbers: list[str]) -> dict[str, Counter[str]]:
        effects: dict[str, Counter[str]] = {}
        if "sap_bridge" in self._shop.parts.departments:
            effects["sap_bridge"] = Counter(self._shop.sap.stats()["references"])
        if "printer" in self._shop.parts.departments:
            effects["printer"] = Counter(self._shop.papers())
        return effects

    def _count_rows(self, customers: Customers, found: Count) -> None:
        rows = self._query(
            "SELECT idempotency_key, number FROM orders WHERE idempotency_key LIKE :keys", keys=f"{customers.token}-%"
        )
        by_key: defaultdict[str, list[str]] = defaultdict(list)
        for key, number in rows:
            by_key[key].append("-".join(number[i : i + 4] for i in (0, 4, 8)))
        for key, number in customers.accepted.items():
            if number not in by_key[key]:
                found.lost.append(f"{number}: no row")
        found.doubled += [f"{numbers}: rows of one key {key}" for key, numbers in by_key.items() if len(numbers) > 1]
        found.doubled += [f"{by_key[key]}: nobody was told" for key in by_key.keys() - customers.accepted.keys()]
        found.doubled += customers.contradictions

    def _count_events(self, numbers: list[str], found: Count) -> None:
        for number in numbers:
            events = self.probe.events[number]
            if not events:
                found.lost.append(f"{number}: no event")
            if len(events) > 1:
                found.doubled.append(f"{number}: {len(events)} different events")
            found.repeats += sum(events.values()) - len(events)

    def _count_statuses(self, statuses: dict[str, dict[str, Any]], found: Count) -> set[tuple[str, str]]:
        doubtful = set()
        for number, order in statuses.items():
            for department in self._shop.parts.departments:
                told = order.get("departments", {}).get(department, {"state": "unknown"})
                if told["state"] == "attention":
                    found.attention.append(f"{number}: {department}: {told.get('detail')}")
                    doubtful.add((number, department))
                elif "possible duplicate" in (told.get("detail") or ""):
                    found.possible_duplicates.append(f"{number}: {department}: {told['detail']}")
                    doubtful.add((number, department))
                elif told["state"] != "done":
                    found.lost.append(f"{number}: {department} is {told['state']}")
        return doubtful

    def _outbox(self) -> int:
        return int(self._query("SELECT count(*) FROM outbox")[0][0])

    def _query(self, statement: str, **values: Any) -> list[Any]:
        engine = database.create_engine(self._shop.database_url("orders"), writes=False)
        try:
            with engine.connect() as connection:
                return list(connection.execute(sa.text(statement), values).all())
        finally:
            engine.dispose()
