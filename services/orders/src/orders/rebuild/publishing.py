"""Publishing events again over the relay's link: pipelined, confirmed, in order, at a bounded rate."""

import threading
import time
from collections.abc import Callable, Sequence

import pika
from eventbus.contract import Event, OrderCreated
from eventbus.contract.headers import BusHeaders
from pika.adapters.select_connection import IOLoop

from orders.model import ORDER_CREATED
from orders.rebuild.errors import AwayError, RefusedError
from orders.relay import broker
from orders.relay.batch import Batch, Row
from orders.relay.link import Link
from orders.relay.metrics import RelayMetrics
from orders.relay.settings import RelaySettings

BATCH_MAX = 500
BATCHES_A_SECOND = 10
"""At a bounded rate the batches are as small as that, so that live orders find room between them."""
REFUSED_PAUSE_S = 1.0
CHECK_S = 1.0
CLOSE_S = 2.0


class Republisher:
    """Publishes with the header `bus-replay`. Its link runs in a thread of its own; all methods are for one caller.

    Args:
        settings: broker and time-outs as for the relay.
        rate: events a second at most; None: as fast as they are confirmed.
        patience_s: how long a broker that is away, blocks or refuses is waited for.
    """

    def __init__(self, settings: RelaySettings, rate: float | None, patience_s: float) -> None:
        self.confirmed = 0
        self._rate = rate
        self._patience_s = patience_s
        self._loop = IOLoop()
        self._open = threading.Event()
        self._batch_rows = BATCH_MAX if rate is None else max(1, min(BATCH_MAX, round(rate / BATCHES_A_SECOND)))
        self._next_at = time.monotonic()
        hosts = [
            broker.parameters(url, heartbeat_s=settings.heartbeat_s, ca=settings.amqp_ca) for url in settings.amqp_url
        ]
        for host in hosts:
            host.client_properties = {"connection_name": "orders rebuild"}
        self._link = Link(
            self._loop,
            hosts,
            RelayMetrics(),
            confirm_timeout_s=settings.confirm_timeout_s,
            prepare=_prepared,
            on_open=self._open.set,
            on_shut=self._open.clear,
            on_answer=lambda: None,
            on_return=lambda _host: None,
            headers=BusHeaders(replay=True).write(),
        )
        self._thread = threading.Thread(target=self._run, name="rebuild link", daemon=True)

    def __enter__(self) -> "Republisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.add_callback_threadsafe(self._close)
        self._thread.join(CLOSE_S + 1)

    def publish(
        self, events: Sequence[Event[OrderCreated]], on_confirmed: Callable[[Event[OrderCreated]], None]
    ) -> None:
        """Publish them in this order; `on_confirmed` hears the last of each batch when all of it is confirmed.

        Raises:
            AwayError: the broker was away, or blocked, for too long.
            RefusedError: it refused an event for too long.
        """
        for start in range(0, len(events), self._batch_rows):
            some = events[start : start + self._batch_rows]
            self._keep_rate(len(some))
            self._deliver([_row(event) for event in some])
            self.confirmed += len(some)
            on_confirmed(some[-1])

    def _keep_rate(self, count: int) -> None:
        if self._rate is None:
            return
        now = time.monotonic()
        if self._next_at > now:
            time.sleep(self._next_at - now)
        self._next_at = max(self._next_at, now) + count / self._rate

    def _deliver(self, rows: list[Row]) -> None:
        deadline = time.monotonic() + self._patience_s
        while True:
            if not self._open.wait(max(0.0, deadline - time.monotonic())):
                raise AwayError(f"AMQP_URL: the broker has taken nothing for {self._patience_s:g} s")
            batch = Batch(rows)
            self._link.send(batch)
            batch.wait(max(0.0, deadline - time.monotonic()))
            confirmed = {row.event_id for row in batch.confirmed}
            rows = [row for row in rows if row.event_id not in confirmed]
            if not rows:
                return
            if confirmed:
                deadline = time.monotonic() + self._patience_s
            if time.monotonic() > deadline:
                refused = "refuses events" if batch.refused else "confirms nothing"
                raise (RefusedError if batch.refused else AwayError)(
                    f"the broker {refused} for {self._patience_s:g} s already: is a queue full, or its node gone?"
                )
            time.sleep(REFUSED_PAUSE_S if batch.refused else 0.0)

    def _run(self) -> None:
        self._check()
        self._link.connect()
        self._loop.start()

    def _check(self) -> None:
        self._link.check()
        self._loop.call_later(CHECK_S, self._check)

    def _close(self) -> None:
        self._loop.call_later(CLOSE_S, self._loop.stop)  # while the broker blocks, it never answers
        self._link.close(self._loop.stop)


def _prepared(_host: pika.URLParameters, done: Callable[[Exception | None], None]) -> None:
    done(None)  # everything was declared before


def _row(event: Event[OrderCreated]) -> Row:
    return Row(0, f"{ORDER_CREATED}.{event.data.region}", event.id, event.encode())
