"""The relay's connection to the broker. Lives in the main thread, in pika's loop; `send` alone is for other threads."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pika
from eventbus.contract import CONTENT_TYPE
from eventbus.contract.routing import event_type
from eventbus.logs import get_logger
from eventbus.topology import EVENTS, REBIND_TIMES
from pika.adapters.select_connection import IOLoop, SelectConnection
from pika.channel import Channel
from pika.exceptions import AMQPError
from pika.spec import Basic

from orders.relay.batch import Batch, Row
from orders.relay.metrics import RelayMetrics

BACK_OFF_MIN_S = 0.1
BACK_OFF_MAX_S = 2.0
PATIENCE_MAX_S = 3600.0
NOT_FOUND = 404
PERSISTENT = 2
APP_ID = "orders"

log = get_logger(__name__)


class LinkDroppedError(Exception):
    """We dropped the connection ourselves; the text says why."""


class Link:
    """One connection with one confirming channel, made again for as long as the process lives.

    The back-off ends with a confirm, not with a connection: a broken queue ends each connection at its first publish,
    which would mean twenty reconnects a second, each repeating what was in flight.
    """

    def __init__(
        self,
        loop: IOLoop,
        hosts: Sequence[pika.URLParameters],
        metrics: RelayMetrics,
        *,
        confirm_timeout_s: float,
        prepare: Callable[[pika.URLParameters, Callable[[Exception | None], None]], None],
        on_open: Callable[[], None],
        on_shut: Callable[[], None],
        on_answer: Callable[[], None],
        on_return: Callable[[pika.URLParameters], None],
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            hosts: tried in this order, the next one only after a failure.
            prepare: makes what is missing on the broker, then calls back from any thread, with the error if any.
            on_open: the link takes messages from now on.
            on_shut: it does not any more: lost, or blocked by the broker.
            on_answer: the broker confirmed or refused something.
            on_return: the broker had no queue for an event; on which host that was.
            headers: of every message.
        """
        self._loop = loop
        self._hosts = hosts
        self._host = 0
        self._metrics = metrics
        self._confirm_timeout_s = confirm_timeout_s
        self._prepare = prepare
        self._on_open, self._on_shut, self._on_answer, self._on_returned = on_open, on_shut, on_answer, on_return
        self._headers = dict(headers) if headers else None
        self._prepared = False
        self._stood = False
        self._gone = False  # the exchange, that stood before: with it went the bindings of all departments
        self._connection: SelectConnection | None = None
        self._channel: Channel | None = None  # while it takes messages
        self._blocked = False
        self._heard_at = 0.0  # the last confirm, or when waiting for one began
        self._ready_at = 0.0
        self._refused = False  # something, on this link
        self._patience_s = confirm_timeout_s
        self._next_tag = 1
        self._oldest_tag = 1
        self._unconfirmed: dict[int, tuple[Batch, Row]] = {}
        self._returned: dict[tuple[str, str], int] = {}
        self._back_off_s = BACK_OFF_MIN_S
        self._last_reason = ""
        self._on_closed: Callable[[], None] | None = None

    # ------------------------------------------------------------------ for other threads

    def send(self, batch: Batch) -> None:
        """Publish the batch's rows and fill in what became of them. Returns at once; a link that is down loses it."""
        self._loop.add_callback_threadsafe(lambda: self._publish(batch))

    # ------------------------------------------------------------------ connecting

    def connect(self) -> None:
        """Make the connection, and go on doing so whenever it is lost."""
        if self._on_closed is not None:
            return
        host = self._hosts[self._host]
        if not self._prepared:
            self._prepare(host, lambda error: self._loop.add_callback_threadsafe(lambda: self._on_prepared(error)))
            return
        self._heard_at = time.monotonic()
        self._connection = SelectConnection(
            host,
            on_open_callback=self._on_connected,
            on_open_error_callback=self._on_lost,
            on_close_callback=self._on_lost,
            custom_ioloop=self._loop,
        )

    def close(self, on_closed: Callable[[], None]) -> None:
        """End the link for good. While the broker blocks, it never answers: `on_closed` is not called then."""
        self._on_closed = on_closed
        self._shut()
        if self._connection is None or self._connection.is_closed:
            on_closed()
        elif self._connection.is_open:
            self._connection.close()
        elif not self._connection.is_closing:
            self._abort("stopped")

    def _on_prepared(self, error: Exception | None) -> None:
        if self._on_closed is not None:
            return
        if error is not None:
            self._retry(error)
            return
        self._prepared = True
        self.connect()

    def _on_connected(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(lambda *_: self._on_blocked())
        connection.add_on_connection_unblocked_callback(lambda *_: self._on_unblocked())
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_return)
        channel.exchange_declare(EVENTS, passive=True, callback=lambda _: self._on_exchange(channel))

    def _on_exchange(self, channel: Channel) -> None:
        wait_s = 0.0
        if self._gone:  # what is published before they have bound again only the archive gets
            wait_s = REBIND_TIMES * self._confirm_timeout_s
            log.warning("exchange was deleted", waiting_s=wait_s, reason="departments have to bind their queues again")
        self._heard_at = time.monotonic() + wait_s
        self._loop.call_later(wait_s, lambda: self._confirm_from_now(channel))

    def _confirm_from_now(self, channel: Channel) -> None:
        if channel.is_open:
            channel.confirm_delivery(self._on_ack_or_nack, callback=lambda _: self._on_ready(channel))

    def _on_ready(self, channel: Channel) -> None:
        self._stood, self._gone = True, False
        self._channel = channel
        self._ready_at, self._refused = time.monotonic(), False
        self._next_tag = self._oldest_tag = 1
        self._unconfirmed.clear()
        self._returned.clear()
        host = self._hosts[self._host]
        log.info("link up", host=host.host, port=host.port)
        self._last_reason = ""
        self._metrics.link_up.set(1)
        if not self._blocked:
            self._on_open()

    # ------------------------------------------------------------------ publishing

    def _publish(self, batch: Batch) -> None:
        channel = self._channel
        if channel is None or not channel.is_open or self._blocked:
            batch.lose()
            return
        if not self._unconfirmed:
            self._heard_at = time.monotonic()
        now = int(time.time())
        try:
            for row in batch.rows:
                _publish_row(channel, row, now, self._headers)
                self._unconfirmed[self._next_tag] = (batch, row)
                self._next_tag += 1
        except AMQPError as error:  # the rows go out again, those sent already too: their confirms may never come
            batch.lose()
            self.drop(f"cannot publish: {describe(error)}")

    def _on_return(
        self, _channel: Channel, method: Basic.Return, properties: pika.BasicProperties, _body: bytes
    ) -> None:
        # its ack follows, as if it had been sent. Two copies of one event share their fate, so counting them is enough
        returned = (str(properties.message_id), str(method.routing_key))
        self._returned[returned] = self._returned.get(returned, 0) + 1
        self._on_returned(self._hosts[self._host])

    def _on_ack_or_nack(self, frame: Any) -> None:
        method = frame.method
        tag, acked = method.delivery_tag, isinstance(method, Basic.Ack)
        if method.multiple:
            last = tag or self._next_tag - 1
            settled = [self._unconfirmed.pop(t, None) for t in range(self._oldest_tag, last + 1)]
            self._oldest_tag = last + 1
        else:
            settled = [self._unconfirmed.pop(tag, None)]
        for entry in settled:
            if entry is None:
                continue
            batch, row = entry
            if not acked:
                self._metrics.nacked.inc()
                self._refused = True
                batch.refuse(row)
            elif self._returned and self._was_returned(row):
                self._metrics.returned.inc()
                batch.refuse(row)
            else:
                batch.confirm(row)
        self._heard_at = time.monotonic()
        self._on_answer()
        if acked:
            self._back_off_s = BACK_OFF_MIN_S

    def _was_returned(self, row: Row) -> bool:
        key = (row.event_id, row.routing_key)
        count = self._returned.get(key, 0)
        if count > 1:
            self._returned[key] = count - 1
        elif count == 1:
            del self._returned[key]
        return count > 0

    # ------------------------------------------------------------------ blocked, late, lost

    def check(self) -> None:
        """Drop a link that gives no answer, or that was refused something and has stood for a while. To be called every
        second or so.

        A channel whose first message for a queue meets a leader that has just died refuses that queue's messages for
        as long as the leader's node is away (`rabbit_fifo_client:enqueue/3` of 3.10: `{badrpc, nodedown} ->
        {reject_publish, _}`; seen for a minute, while two nodes of three had a new leader within 0.3 s). A new channel
        asks the new leader. Where it is refused, too, a queue is full: then the next one is made twice as late.
        """
        connection = self._connection
        if connection is None or self._blocked or not connection.is_open:
            return
        if self._refused and self._channel is not None and time.monotonic() - self._ready_at > self._patience_s:
            self._patience_s = min(self._patience_s * 2, PATIENCE_MAX_S)
            self.drop("events were refused: a new channel may reach another leader")
            return
        waits = bool(self._unconfirmed) or self._channel is None
        silent_s = time.monotonic() - self._heard_at
        if waits and silent_s > self._confirm_timeout_s:
            self.drop(f"no confirm for {silent_s:.0f} s")

    def drop(self, reason: str) -> None:
        """End this connection at once and make the next one. Does nothing while there is none."""
        if self._connection is not None and self._connection.is_open:
            self._abort(reason)

    def _abort(self, reason: str) -> None:
        # connection.close() waits for an answer that a silent broker does not give; pika offers nothing else in
        # public, and its own heartbeat checker ends a connection like this
        assert self._connection is not None
        self._heard_at = time.monotonic()
        self._shut()  # the loss is told in a later turn of the loop: nothing may be published until then
        self._connection._terminate_stream(LinkDroppedError(reason))

    def _on_blocked(self) -> None:
        log.warning("broker blocks", reason="alarm of memory or disk space; orders are kept until it ends")
        self._blocked = True
        self._metrics.link_blocked.set(1)
        self._on_shut()

    def _on_unblocked(self) -> None:
        log.info("broker blocks no more")
        self._blocked = False
        self._heard_at = time.monotonic()
        self._metrics.link_blocked.set(0)
        if self._channel is not None:
            self._on_open()

    def _on_channel_closed(self, channel: Channel, reason: Exception) -> None:
        self._channel = None
        if channel.connection.is_open and self._on_closed is None:
            if getattr(reason, "reply_code", None) == NOT_FOUND:
                self._prepared = False  # the exchange is gone: make it again
                self._gone = self._stood and f"'{EVENTS}'" in str(reason)
            self._abort(f"channel closed: {reason}")

    def _on_lost(self, _connection: SelectConnection, reason: Exception | str) -> None:
        self._connection = None
        self._shut()
        if self._on_closed is not None:
            self._on_closed()
            return
        self._metrics.links_lost.inc()
        self._retry(reason)

    def _shut(self) -> None:
        self._channel = None
        self._blocked = False
        self._metrics.link_up.set(0)
        self._metrics.link_blocked.set(0)
        self._on_shut()
        lost = {id(batch): batch for batch, _ in self._unconfirmed.values()}
        self._unconfirmed.clear()
        for batch in lost.values():
            batch.lose()

    def _retry(self, reason: Exception | str) -> None:
        host = self._hosts[self._host]
        text = describe(reason)
        if text != self._last_reason:  # an outage is one line, not one for each attempt
            log.warning("broker away", host=host.host, port=host.port, reason=text)
            self._last_reason = text
        self._host = (self._host + 1) % len(self._hosts)
        delay_s, self._back_off_s = self._back_off_s, min(self._back_off_s * 2, BACK_OFF_MAX_S)
        self._loop.call_later(delay_s, self.connect)


def _publish_row(channel: Channel, row: Row, now: int, headers: dict[str, Any] | None) -> None:
    channel.basic_publish(
        EVENTS,
        row.routing_key,
        row.body,
        pika.BasicProperties(
            content_type=CONTENT_TYPE,
            delivery_mode=PERSISTENT,
            message_id=row.event_id,
            timestamp=now,
            type=event_type(row.routing_key),
            app_id=APP_ID,
            headers=headers,
        ),
        mandatory=True,
    )


def describe(reason: Exception | str) -> str:
    """The reason on one line: of a failed connection the innermost error, which pika wraps in others without text."""
    while (inner := _inner(reason)) is not None:
        reason = inner
    return " ".join(f"{type(reason).__name__}: {reason}".split()) if isinstance(reason, Exception) else reason


def _inner(reason: Exception | str) -> Exception | None:
    candidates = (*getattr(reason, "exceptions", ()), getattr(reason, "exception", None), *getattr(reason, "args", ()))
    return next((each for each in reversed(candidates) if isinstance(each, Exception)), None)
