"""A claim's thread: claim rows, publish them all, wait for all confirms, delete the confirmed ones."""

import time
from collections import defaultdict
from collections.abc import Callable

import sqlalchemy as sa
from eventbus.logs import get_logger

from orders.relay.batch import Batch
from orders.relay.metrics import RelayMetrics
from orders.relay.outbox import Claim, Outbox
from orders.relay.refusals import Refusals
from orders.relay.work import Errand, Work

PROBE_ROWS = 20
"""Rows that go ahead when the broker has refused their routing key: each costs the key's other queues a copy."""
BACK_OFF_MIN_S = 0.1
BACK_OFF_MAX_S = 2.0
_LOOK_UP_S = 0.25
"""How soon a waiting thread notices that it must let go or stop."""

log = get_logger(__name__)


class Claimant:
    """What each thread of the relay runs. Shares `work`, `refusals` and `outbox` with the others."""

    def __init__(
        self,
        work: Work,
        outbox: Outbox,
        refusals: Refusals,
        send: Callable[[Batch], None],
        metrics: RelayMetrics,
        *,
        claim_rows: int,
        hold_max_s: float,
        on_progress: Callable[[], None],
    ) -> None:
        """
        Args:
            send: publishes a batch and fills in what became of it.
            hold_max_s: a transaction that waits longer (the broker blocks) is rolled back, before the database ends it.
            on_progress: nothing is left to do, or nothing can be done: what does not go out is not the link's fault.
        """
        self._work = work
        self._outbox = outbox
        self._refusals = refusals
        self._send = send
        self._metrics = metrics
        self._claim_rows = claim_rows
        self._hold_max_s = hold_max_s
        self._on_progress = on_progress
        self._back_off_s = BACK_OFF_MIN_S

    def run(self) -> None:
        """Until `work` is stopped."""
        while (errand := self._work.take()) is not None:
            claim = self._claim(errand)
            if claim is None:
                continue
            batch = Batch(claim.rows)
            started_at = time.monotonic()
            self._send(batch)
            self._await(claim, batch)
            if not batch.lost:
                self._metrics.confirm_seconds.observe(time.monotonic() - started_at)
            self._settle(claim, batch)
            self._conclude(errand, batch)

    def _claim(self, errand: Errand) -> Claim | None:
        """Rows, or None when there are none."""
        key = errand.probed_key
        held = self._refusals.held()
        limit = self._claim_rows if key is None else PROBE_ROWS
        try:
            claim = self._outbox.claim(limit, without_keys=held, only_key=key)
        except sa.exc.SQLAlchemyError as error:
            self._database_away(error)
            if key is not None:
                self._refusals.unknown(key)
            self._work.hint()
            return None
        self._back_off_s = BACK_OFF_MIN_S
        if not claim.rows:
            if key is not None:
                self._refusals.accepted(key)
            self._on_progress()  # keys that are held are not the link's fault
            return None
        self._metrics.claims.inc()
        if key is None and len(claim.rows) == limit:
            self._work.hint()  # there may be more: the next thread starts now
        return claim

    def _await(self, claim: Claim, batch: Batch) -> None:
        """Wait until the batch is settled. Never publish again because a confirm is late while the link lives."""
        let_go_at = time.monotonic() + self._hold_max_s
        while not batch.wait(_LOOK_UP_S):
            if self._work.is_over:
                return
            if time.monotonic() > let_go_at:
                claim.let_go()
                let_go_at = float("inf")

    def _settle(self, claim: Claim, batch: Batch) -> None:
        """Delete what is confirmed, also when the link was lost meanwhile, and however long the database is away."""
        confirmed = [row.id for row in tuple(batch.confirmed)]
        while True:
            try:
                claim.settle(confirmed)
            except sa.exc.SQLAlchemyError as error:
                if self._work.is_over:
                    log.warning("confirmed rows stay", rows=len(confirmed), reason="stopped while the database is away")
                    return
                self._database_away(error)
            else:
                self._metrics.published.inc(len(confirmed))
                return

    def _conclude(self, errand: Errand, batch: Batch) -> None:
        """Remember the keys that were refused, and see to it that what stays is claimed again."""
        refused: defaultdict[str, int] = defaultdict(int)
        for row in batch.refused:
            refused[row.routing_key] += 1
        confirmed_keys = {row.routing_key for row in batch.confirmed} if refused else set()
        for key, rows in refused.items():
            self._refusals.refused(key, others_confirmed=key in confirmed_keys)
            log.error(
                "broker refuses events",
                routing_key=key,
                rows=rows,
                reason="a queue refuses them, or none is bound for them; they stay in the outbox and are tried again",
            )
        if errand.probed_key is not None and not refused:
            if batch.lost:
                self._refusals.unknown(errand.probed_key)
            else:
                self._refusals.accepted(errand.probed_key)
        self._metrics.held_keys.set(len(self._refusals.held()))
        if batch.lost or errand.probed_key is not None or len(batch.rows) == self._claim_rows:
            self._work.hint()

    def _database_away(self, error: sa.exc.SQLAlchemyError) -> None:
        self._on_progress()
        cause = getattr(error, "orig", None) or error
        log.warning("database away", reason=f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}")
        self._work.pause(self._back_off_s)
        self._back_off_s = min(self._back_off_s * 2, BACK_OFF_MAX_S)
