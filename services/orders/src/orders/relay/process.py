"""The relay's process: everything is put together, started and stopped here."""

import logging
import random
import signal
import socket
import threading
import time
from collections.abc import Callable

import pika
import sqlalchemy as sa
from eventbus.database import upgrade
from eventbus.logs import get_logger
from pika.adapters.select_connection import IOLoop

from orders.relay import broker
from orders.relay.claims import Claimant
from orders.relay.health import HealthServer
from orders.relay.link import Link
from orders.relay.mending import Mending
from orders.relay.metrics import RelayMetrics
from orders.relay.only_relay import OnlyRelay
from orders.relay.outbox import open_outbox, sqlite_file
from orders.relay.refusals import Refusals
from orders.relay.settings import RelaySettings
from orders.relay.wakeup import Doorbell, Listener
from orders.relay.work import Work

CHECK_S = 1.0
LOOP_TURNED_MAX_S = 60.0
CLOSE_S = 2.0
"""While the broker blocks, a connection never answers that it is closed."""
PREPARE_RETRY_S = 2.0
EXIT_BUG = 1

log = get_logger(__name__)


def run(settings: RelaySettings) -> int:
    """Relay until SIGTERM or SIGINT; the exit code. To be called in the main thread.

    Raises:
        AddressError: the health server cannot listen there.
    """
    # pika calls each refused connection and each missing object an error; what matters of it we log ourselves
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    relay = Relay(settings)
    caught, wake = socket.socketpair()  # a handler in Python could run while the loop holds its lock
    caught.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    relay.loop.add_handler(caught.fileno(), lambda *_: relay.stop() if caught.recv(16) else None, relay.loop.READ)
    try:
        return relay.run()
    finally:
        signal.set_wakeup_fd(-1)
        caught.close()
        wake.close()


class Relay:
    """One relay. `run` takes the calling thread; all else but `request_stop` belongs to that one."""

    def __init__(self, settings: RelaySettings) -> None:
        self.loop = IOLoop()
        self.outbox = open_outbox(
            settings.database_url, claims=settings.claims, idle_in_transaction_s=settings.idle_in_transaction_s
        )
        self.metrics = RelayMetrics()
        self._settings = settings
        self._refusals = Refusals()
        self.work = Work(self._refusals)
        self.link = self._make_link(settings)
        file = sqlite_file(settings.database_url)
        self._only = OnlyRelay(file) if file else None
        self._wakeup = (
            Doorbell(settings.database_url, self.loop, self.work.hint)
            if file
            else Listener(settings.database_url, self.work.hint)
        )
        self._threads: list[threading.Thread] = []
        self._running_threads = 0
        self._turned_at = self._progress_at = time.monotonic()
        self._link_was_up = self._database_ready = self._stopping = False
        self._exit_code = 0
        self.health = HealthServer(
            settings.health_host,
            settings.health_port,
            self.metrics.registry,
            healthy=lambda: time.monotonic() - self._turned_at < LOOP_TURNED_MAX_S,
            ready=lambda: self._link_was_up and self._database_ready and not self._stopping,
        )

    def run(self) -> int:
        """Relay until stopped; the exit code."""
        self.health.start()
        log.info("relay started", health=f"http://{self._settings.health_host}:{self.health.port}")
        self._start_thread("prepare database", self._prepare_database)
        self.link.connect()
        self._check()
        self._poll()
        self.loop.start()
        self._wakeup.stop()
        for thread in self._threads:
            thread.join(timeout=0.1)  # one that hangs in the database ends with the process
        if self._only:
            self._only.release()
        self.outbox.close()
        self.health.stop()
        self.loop.close()
        log.info("relay stopped", exit_code=self._exit_code)
        return self._exit_code

    def request_stop(self) -> None:
        """Like `stop`, from any thread."""
        self.loop.add_callback_threadsafe(self.stop)

    def stop(self) -> None:
        """Claim nothing more, await the confirms under way, delete what is confirmed, close."""
        if self._stopping:
            return
        self._stopping = True
        log.info("relay stops")
        self.work.stop(self._settings.drain_s)
        self._wakeup.stop()
        self.loop.call_later(self._settings.drain_s + CLOSE_S, self.loop.stop)
        if self._running_threads == 0:
            self._close_link()

    def _close_link(self) -> None:
        self.loop.call_later(CLOSE_S, self.loop.stop)
        self.link.close(self.loop.stop)

    # ------------------------------------------------------------------ starting

    def _make_link(self, settings: RelaySettings) -> Link:
        hosts = [
            broker.parameters(url, heartbeat_s=settings.heartbeat_s, ca=settings.amqp_ca) for url in settings.amqp_url
        ]
        random.shuffle(hosts)
        topology = broker.SharedTopology(settings)

        def prepare(host: pika.URLParameters, done: Callable[[Exception | None], None]) -> None:
            self._start_thread("declare", lambda: done(topology.ensure(host)))

        def mend(host: pika.URLParameters) -> None:
            self._start_thread("mend", lambda: topology.mend(host), mending.done)

        mending = Mending(mend)

        return Link(
            self.loop,
            hosts,
            self.metrics,
            confirm_timeout_s=settings.confirm_timeout_s,
            prepare=prepare,
            on_open=self._on_open,
            on_shut=self.work.shut,
            on_answer=self._on_progress,
            on_return=mending.on_return,
        )

    def _prepare_database(self) -> None:
        """Wait for the database, its schema and, on SQLite, for the relay before us; then start the claims."""
        last = ""
        while not self.work.is_stopped:
            try:
                upgrade(self._settings.database_url, "orders")
                break
            except (sa.exc.SQLAlchemyError, OSError) as error:
                reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
                if reason != last:
                    log.warning("database away", reason=reason)
                last = reason
                self.work.pause(PREPARE_RETRY_S)
        if self._only and not self._only.acquire(self.work.pause, lambda: self.work.is_stopped):
            return
        self.loop.add_callback_threadsafe(self._start_claims)

    def _start_claims(self) -> None:
        if self._stopping:
            return
        self._database_ready = True
        self.metrics.watch_backlog(self.outbox.backlog)
        self._wakeup.start()
        self._on_progress()
        for number in range(self._settings.claims):
            claimant = Claimant(
                self.work,
                self.outbox,
                self._refusals,
                self.link.send,
                self.metrics,
                claim_rows=self._settings.claim_rows,
                hold_max_s=self._settings.idle_in_transaction_s / 2,
                on_progress=self._on_progress,
            )
            self._running_threads += 1
            self._threads.append(self._start_thread(f"claim {number + 1}", claimant.run, self._on_claimant_ended))

    def _start_thread(
        self, name: str, target: Callable[[], None], on_ended: Callable[[], None] | None = None
    ) -> threading.Thread:
        def body() -> None:
            try:
                target()
            except Exception:
                # a bug: whoever supervises us starts a new process, which a thread less would hide
                log.exception("relay's thread failed", thread=name)
                self._exit_code = EXIT_BUG
                self.request_stop()
            finally:
                if on_ended:
                    self.loop.add_callback_threadsafe(on_ended)

        thread = threading.Thread(target=body, name=name, daemon=True)
        thread.start()
        return thread

    def _on_claimant_ended(self) -> None:
        self._running_threads -= 1
        if self._stopping and self._running_threads == 0:
            self._close_link()

    # ------------------------------------------------------------------ running

    def _on_open(self) -> None:
        self._link_was_up = True
        self._on_progress()
        self.work.open()

    def _on_progress(self) -> None:
        self._progress_at = time.monotonic()

    def _poll(self) -> None:
        self.work.hint()
        self.loop.call_later(self._settings.poll_s, self._poll)

    def _check(self) -> None:
        """Alive means progress."""
        self._turned_at = time.monotonic()
        self.link.check()
        stands_s = self._turned_at - self._progress_at
        if not self.work.is_open or not self._database_ready:
            self._on_progress()
        elif stands_s > self._settings.progress_timeout_s:
            self._on_progress()
            self.link.drop(f"nothing went out for {stands_s:.0f} s")
        self.loop.call_later(CHECK_S, self._check)
