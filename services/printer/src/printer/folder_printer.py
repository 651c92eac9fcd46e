"""What a handler does with a folder in place of a printer: the file is the paper, complete at once."""

from eventbus.contract import Event, OrderCreated
from eventbus.department import Blocked, Done, InHand, Later, Outcome
from eventbus.department.ledger import Entry, Held, LeaseLostError, Settled
from eventbus.department.owner import new_owner
from eventbus.logs import get_logger
from eventlet import tpool

from printer import _metrics as metrics
from printer.closing import close_printed, give_up, settled_outcome
from printer.copies import note_of
from printer.desk import Desk
from printer.folder import SlipFolder
from printer.making import UnmadeSlipError, make_slip
from printer.records import ACCEPTED, FINAL, FOLDER_LEASE_S, PRINTED, SENDING, Records
from printer.submission import job_name, printer_changed

RETRY_S = 1.0
FOLLOWED_MAX = 1000
SENT = (SENDING, ACCEPTED)
"""A printer may have put the slip on paper."""

log = get_logger(__name__)


class FolderPrinter:
    """Writes each slip once, as `<order>.pdf`. The ledger remembers those that were taken out of the folder."""

    def __init__(self, folder: SlipFolder) -> None:
        self._folder = folder
        self._in_trouble = False

    def print_once(self, event: Event[OrderCreated], desk: Desk) -> Outcome:
        """`Done` with the file's name when the file is on disk. Raises Blocked when the folder cannot take it."""
        records = Records(desk.transactions, FOLDER_LEASE_S)
        owner = new_owner()
        claim = records.claim(event, owner, settled=FINAL)
        match claim:
            case Settled(entry):
                return settled_outcome(entry, event, desk)
            case Held(seconds_left):
                return Later(min(seconds_left, RETRY_S), "another worker is writing this slip")
        name = f"{job_name(claim.entry)}.pdf"
        note = claim.entry.detail or note_of(claim.entry.copy)
        try:
            if claim.entry.state in SENT:
                return InHand(give_up(claim.entry, printer_changed(claim.entry), desk, records).reference)
            pdf = desk.slips.render(event.data, note)
            tpool.execute(self._folder.put_once, name, pdf)
            records.advance(claim.entry, PRINTED, release=True, reference=name)
        except OSError as error:  # full, read-only, gone: as true for every other slip
            raise Blocked(f"folder of slips: {error.strerror or type(error).__name__}") from error
        except LeaseLostError:
            return Later(RETRY_S, "another worker has taken this slip over")
        finally:
            records.release(claim.entry.key, owner)
        metrics.SLIPS.labels("printed").inc()
        return Done(name, note)

    def follow(self, desk: Desk) -> None:
        """Write the copies that a person asked for; report the slips that a printer has which the settings named
        before: nobody follows them any more."""
        records = Records(desk.transactions, FOLDER_LEASE_S)
        for entry in records.followed(FOLLOWED_MAX):
            owner = new_owner()
            if (taken := records.claim_again(entry, owner)) is None:
                continue
            try:
                self._settle(taken, desk, records)
            except LeaseLostError:
                continue  # another replica's follower has it
            except OSError as error:
                records.put_back(entry.key)
                self._note_trouble(error)
                return
            finally:
                records.release(entry.key, owner)

    def close(self) -> None:
        """Nothing is open."""

    def _settle(self, entry: Entry, desk: Desk, records: Records) -> None:
        if records.reprint_of(entry) is None or entry.state in SENT:
            give_up(entry, printer_changed(entry), desk, records)
            return
        name = f"{job_name(entry)}.pdf"
        try:
            pdf = make_slip(entry, desk.slips, records)
        except UnmadeSlipError as error:
            give_up(entry, str(error), desk, records)
            return
        tpool.execute(self._folder.put_once, name, pdf)
        close_printed(entry, desk, records, reference=name)
        self._in_trouble = False

    def _note_trouble(self, error: OSError) -> None:
        if not self._in_trouble:
            log.warning("reprints wait: the folder of slips cannot be used", reason=error.strerror)
        self._in_trouble = True
