"""What a handler does with an IPP printer: submit the slip once, and say what the printer's answer means."""

import time

from eventbus.contract import Event, OrderCreated
from eventbus.department import Blocked, InHand, Later, Outcome, Permanent, Transient
from eventbus.department.ledger import NEW, Entry, Held, LeaseLostError, Settled
from eventbus.department.owner import new_owner
from eventbus.logs import get_logger

from printer.classification import Fate, PrinterError
from printer.closing import lose, settled_outcome
from printer.desk import Desk
from printer.follower import Follower
from printer.ipp_client import IppPrinter
from printer.records import ACCEPTED, FINAL, IPP_LEASE_S, Records
from printer.submission import NotSettledError, Submission, VanishedError

BUSY_RETRY_S = 1.0
HELD_RETRY_S = 5.0
WINDOW_RETRY_S = 1.0
WINDOW_WAIT_S = 5.0
"""A worker waits so long for room: sending every slip of a backlog round the retry tiers would keep the broker busy."""
WINDOW_LOOK_S = 0.5
WINDOW_SHRUNK_S = 30.0
"""A printer that says "busy" gets no more than it has for so long."""
WINDOW_STILL_S = 60.0
"""A window that had no room for so long is worth a look by a person."""

log = get_logger(__name__)


class IppQueue:
    """A printer that is reached by IPP.

    Args:
        window: jobs that it may have accepted and not finished.
        media: the paper's name.
        forgets_done: see `Follower`.
        repeats_lost: a slip that the printer lost is printed again, marked; otherwise a person is asked.
    """

    def __init__(
        self, printer: IppPrinter, *, window: int, media: str, forgets_done: bool = False, repeats_lost: bool = False
    ) -> None:
        self._printer = printer
        self._window = window
        self._media = media
        self._repeats_lost = repeats_lost
        self._shrunk_window = window
        self._shrunk_until = 0.0
        self._entering = 0
        self._full_since: float | None = None
        self._follower = Follower(printer, media, forgets_done=forgets_done, repeats_lost=repeats_lost)

    def print_once(self, event: Event[OrderCreated], desk: Desk) -> Outcome:
        """`InHand` when the printer has accepted the slip; `Done` when it is on paper already.

        Raises Transient, Blocked or Permanent.
        """
        records = Records(desk.transactions, IPP_LEASE_S)
        owner = new_owner()
        claim = records.claim(event, owner, settled=(ACCEPTED, *FINAL))
        match claim:
            case Settled(entry):
                return settled_outcome(entry, event, desk)
            case Held(seconds_left):
                return Later(min(seconds_left, HELD_RETRY_S), "another worker is submitting this slip")
        try:
            return self._submit(claim.entry, owner, desk, records)
        except LeaseLostError:
            return Later(BUSY_RETRY_S, "another worker has taken this slip over")
        finally:
            records.release(claim.entry.key, owner)

    def follow(self, desk: Desk) -> None:
        """See what became of the accepted slips, and report it."""
        self._follower.follow(desk)

    def close(self) -> None:
        """Close the connections."""
        self._printer.close()

    def _submit(self, entry: Entry, owner: str, desk: Desk, records: Records) -> Outcome:
        if entry.state == NEW and (wait := self._wait_for_room(entry, records)):
            return wait
        self._entering += 1
        try:
            accepted = Submission(self._printer, self._media, desk.slips, records).submit(entry)
        except NotSettledError as error:
            return Later(error.seconds_left, str(error))
        except VanishedError as error:
            lost = records.reread(entry.key, owner)
            lose(lost, str(error), desk, records, repeats=self._repeats_lost and error.is_lost)
            return InHand(lost.reference)
        except PrinterError as error:
            if error.fate is Fate.BUSY:
                self._shrink_window(records.open_count(without=entry.key))
            return outcome_of(error)
        finally:
            self._entering -= 1
        return InHand(accepted.reference)

    def _wait_for_room(self, entry: Entry, records: Records) -> Later | None:
        """None when the window has room, soon. `Later` when not; Blocked where the printer waits for a person."""
        if self._has_room(entry, records) and self._follower.trouble is None:
            return None
        try:
            status = self._printer.status()
        except PrinterError as error:
            return outcome_of(error)
        if status.in_trouble:
            raise Blocked(f"printer: {status}")
        deadline = time.monotonic() + WINDOW_WAIT_S
        while not self._has_room(entry, records):
            if time.monotonic() >= deadline:
                return Later(WINDOW_RETRY_S, "the printer has as many slips as its window takes")
            time.sleep(WINDOW_LOOK_S)
        return None

    def _has_room(self, entry: Entry, records: Records) -> bool:
        window = self._shrunk_window if time.monotonic() < self._shrunk_until else self._window
        has_room = records.open_count(without=entry.key) + self._entering < window
        self._watch_window(has_room, window)
        return has_room

    def _watch_window(self, has_room: bool, window: int) -> None:
        now = time.monotonic()
        if has_room:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        elif now - self._full_since >= WINDOW_STILL_S:
            log.warning("the printer finishes nothing: its window stays full", window=window, seconds=WINDOW_STILL_S)
            self._full_since = now

    def _shrink_window(self, open_jobs: int) -> None:
        self._shrunk_window = max(1, min(self._window, open_jobs))
        self._shrunk_until = time.monotonic() + WINDOW_SHRUNK_S


def outcome_of(error: PrinterError) -> Later:
    """What a handler returns for a failure of the printer; raises Transient, Blocked or Permanent for most."""
    match error.fate:
        case Fate.BUSY:
            return Later(error.retry_after_s or BUSY_RETRY_S, f"the printer is busy: {error.reason}")
        case Fate.PAUSED | Fate.CONFIGURATION:
            raise Blocked(f"printer: {error.reason}") from error
        case Fate.PERMANENT | Fate.ATTRIBUTES:
            raise Permanent(f"the printer refuses the slip: {error.reason}") from error
        case _:
            raise Transient(f"printer: {error.reason}") from error
