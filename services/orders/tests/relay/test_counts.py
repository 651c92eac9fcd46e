"""What a relay asks of the database, counted, not timed."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from eventbus.testing import wait_until
from eventbus.testing.broker import Broker
from orders.relay.process import Relay


class Statements:
    """Counts the statements of a relay's engines by their first word, and commits."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def watch(self, relay: Relay) -> None:
        engines = {relay.outbox.engine, getattr(relay.outbox, "reading_engine", relay.outbox.engine)}
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", self._statement)
            sa.event.listen(engine, "commit", lambda _: self._count("COMMIT"))

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._count(statement.split()[0])

    def _count(self, word: str) -> None:
        with self._lock:
            self.seen[word] += 1


def test_12000_rows_take_at_most_30_claims_with_over_1000_messages_unconfirmed(
    box: Any, broker: Broker, tapped: Callable[[Broker], str], relay_in_thread: Callable[..., Relay]
) -> None:
    tapped(broker)
    for _ in range(12):
        box.put(1000)
    statements, unconfirmed = Statements(), [0]

    def prepare(relay: Relay) -> None:
        statements.watch(relay)
        publish = relay.link._publish

        def counting(batch: Any) -> None:
            publish(batch)
            unconfirmed.append(len(relay.link._unconfirmed))

        relay.link._publish = counting  # type: ignore[method-assign]

    relay_in_thread(box, broker.url_of("orders-relay"), prepare)
    box.wait_empty(60)
    wait_until(lambda: statements.seen["COMMIT"] >= statements.seen["DELETE"], 10, "the last commit is counted")

    assert statements.seen["DELETE"] <= 30
    assert statements.seen["COMMIT"] == statements.seen["DELETE"]
    assert max(unconfirmed) > 1000


def test_idle_relay_asks_once_a_poll_however_many_threads_it_has(
    box: Any, broker: Broker, tapped: Callable[[Broker], str], relay_in_thread: Callable[..., Relay]
) -> None:
    tapped(broker)
    statements, polls = Statements(), [0]

    def prepare(relay: Relay) -> None:
        statements.watch(relay)
        hint = relay.work.hint

        def counting() -> None:
            polls[0] += 1
            hint()

        relay.work.hint = counting  # type: ignore[method-assign]

    relay_in_thread(box, broker.url_of("orders-relay"), prepare, poll_s=0.1, claims=8)
    wait_until(lambda: statements.seen["SELECT"] >= 20, 20, "twenty polls")

    assert statements.seen["SELECT"] <= polls[0] + 2  # the two: the link opened, the session listened
