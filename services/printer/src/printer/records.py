"""The printer's memory: how far each slip has come, and what stands on it. Committed before each step."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated
from eventbus.department.ledger import NEW, Claimed, Entry, Held, Key, LeaseLostError, Ledger, Settled, utcnow
from eventbus.department.owner import new_owner
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from printer.copies import Reprint
from printer.tables import ledger as ledger_rows
from printer.tables import reprints, slip_orders

CREATING = "creating"
"""Create-Job is being sent, or its answer was lost."""
CREATED = "created"
"""The job is there; its document has surely not been sent."""
SENDING = "sending"
"""The document is being sent, or the answer was lost."""
ACCEPTED = "accepted"
PRINTED = "printed"
ABORTED = "aborted"
"""The printer gave up: another copy follows."""
LOST = "lost"
"""The printer forgot it, and may have printed it: another copy follows, as the settings say."""
ATTENTION = "attention"
"""A person has to look."""

STARTED = (CREATING, CREATED, SENDING)
FINAL = (PRINTED, ABORTED, LOST, ATTENTION)

IPP_LEASE_S = 45.0
"""Renewed before each step, so longer than the longest one: Send-Document, (3 + 30) s. What a killed worker had under
way waits so long."""
FOLDER_LEASE_S = 5.0
"""Only saves work: the folder itself lets no file be written twice."""

Result = TypeVar("Result")


class RunsTransactions(Protocol):
    """See `eventbus.department.Transactions`."""

    def run(self, work: Callable[[Connection], Result]) -> Result: ...


class Records:
    """Ledger and slips' contents, in transactions of one database.

    Args:
        transactions: of the printer's database.
        lease_s: how long a claimed slip is kept from other workers, from its last step.
        clock: tells the time, with its zone.
    """

    def __init__(self, transactions: RunsTransactions, lease_s: float, clock: Callable[[], datetime] = utcnow) -> None:
        self._run = transactions.run
        self._lease_s = lease_s
        self._ledger = Ledger(ledger_rows, clock)
        self.clock = clock

    def claim(self, event: Event[OrderCreated], owner: str, settled: tuple[str, ...]) -> Claimed | Held | Settled:
        """Take the newest copy that the event asks for; what stands on the slip is kept with it.

        `settled`: states in which there is nothing to do for the caller.
        """

        def work(connection: Connection) -> Claimed | Held | Settled:
            first = Key(event.data.order_number, event.type)
            copies = self._ledger.copies(connection, first.order_number, first.event_type)
            asked = reprints_of(connection, first)
            own = [entry.key for entry in copies if not asked or entry.copy < asked[0].copy]
            key = own[-1] if own else first
            claim = self._ledger.claim(connection, key, event.id, owner, self._lease_s, final_states=settled)
            if isinstance(claim, Claimed):
                self._keep(connection, event)
            return claim

        return self._run(work)

    def claim_again(self, entry: Entry, owner: str) -> Entry | None:
        """The row as it is now, taken; None where another has it, or has moved it on."""

        def work(connection: Connection) -> Entry | None:
            claimed = self._ledger.claim(
                connection, entry.key, entry.cause_id, owner, self._lease_s, final_states=FINAL
            )
            if not isinstance(claimed, Claimed):
                return None
            if claimed.entry.state != entry.state:
                self._ledger.release(connection, claimed.entry)
                return None
            return claimed.entry

        return self._run(work)

    def reread(self, key: Key, owner: str) -> Entry:
        """The owner's row as it is now. Raises `LeaseLostError` when another has it."""
        entry = self._run(lambda connection: self._ledger.get(connection, key))
        if entry is None or entry.owner != owner:
            raise LeaseLostError(f"{key.order_number}: another worker has taken over the {key.event_type} entry")
        return entry

    def put_back(self, key: Key) -> None:
        """Let the row wait behind all others, see `followed`."""
        row = sa.and_(*(ledger_rows.c[column] == value for column, value in key._asdict().items()))
        self._run(
            lambda connection: connection.execute(ledger_rows.update().where(row).values(updated_at=self.clock()))
        )

    def advance(self, entry: Entry, state: str, *, release: bool = False, **changes: Any) -> Entry:
        """The row in its next state, committed. Raises `LeaseLostError` when another has moved it on."""
        lease_s = None if release else self._lease_s
        return self._run(
            lambda connection: self._ledger.advance(
                connection, entry, state, lease_s=lease_s, release=release, **changes
            )
        )

    def release(self, key: Key, owner: str) -> None:
        """Give up the lease, if we still have it."""

        def work(connection: Connection) -> None:
            entry = self._ledger.get(connection, key)
            if entry is not None and entry.owner == owner:
                self._ledger.release(connection, entry)

        self._run(work)

    def next_copy(self, entry: Entry, state: str = ABORTED, note: str | None = None) -> None:
        """Close the row in that state and begin the next copy, in one transaction. `note`: what stands on that one, in
        place of what the number of copies says."""

        def work(connection: Connection) -> None:
            self._ledger.advance(connection, entry, state, release=True)
            key = entry.key._replace(copy=entry.copy + 1)
            owner = new_owner()
            claimed = self._ledger.claim(connection, key, entry.cause_id, owner, self._lease_s, final_states=FINAL)
            assert isinstance(claimed, Claimed)
            self._ledger.advance(connection, claimed.entry, NEW, release=True, detail=note)

        self._run(work)

    def open_count(self, without: Key) -> int:
        """How many slips the printer has and has not finished, or is being sent, beside that one.

        A job without document that nobody works at holds no room: its event may have been parked.
        """
        table = ledger_rows.c
        is_sent_now = sa.and_(table.state.in_(STARTED), table.lease_until > self.clock())
        statement = (
            sa.select(sa.func.count())
            .select_from(ledger_rows)
            .where(sa.or_(table.state == ACCEPTED, is_sent_now), table.order_number != without.order_number)
        )
        return self._run(lambda connection: connection.scalars(statement).one())

    def followed(self, limit: int) -> list[Entry]:
        """Slips that no event will come back for: accepted ones, and unfinished second copies. Those that changed, or
        were put back, the longest ago come first."""
        table = ledger_rows.c
        second = sa.and_(table.copy > 1, table.state.in_((NEW, *STARTED)))

        def work(connection: Connection) -> list[Entry]:
            keys = connection.execute(
                sa.select(table.order_number, table.event_type, table.copy)
                .where(sa.or_(table.state == ACCEPTED, second))
                .order_by(table.updated_at)
                .limit(limit)
            ).all()
            entries = (self._ledger.get(connection, Key(*key)) for key in keys)
            return [entry for entry in entries if entry is not None]

        return self._run(work)

    def reprint_of(self, entry: Entry) -> Reprint | None:
        """The reprint that the copy was made for, or None where the event asked for it."""
        if entry.copy == 1:
            return None
        asked = self._run(lambda connection: reprints_of(connection, entry.key))
        return reprint_among(asked, entry.copy)

    def was_printed_before(self, entry: Entry) -> bool:
        """Whether an earlier copy of the slip is on paper."""
        copies = self._run(lambda c: self._ledger.copies(c, entry.order_number, entry.event_type))
        return any(earlier.state == PRINTED for earlier in copies if earlier.copy < entry.copy)

    def order(self, entry: Entry) -> OrderCreated:
        """What stands on the slip."""
        table = slip_orders.c
        statement = sa.select(table.data).where(
            table.order_number == entry.order_number, table.event_type == entry.event_type
        )
        return OrderCreated.model_validate_json(self._run(lambda connection: connection.scalars(statement).one()))

    def _keep(self, connection: Connection, event: Event[OrderCreated]) -> None:
        """Keep what stands on the slip, and lock its row: who erases old ones has not seen our claim yet."""
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        row = insert(slip_orders).values(
            order_number=event.data.order_number,
            event_type=event.type,
            data=event.data.model_dump_json(),
            created_at=self.clock(),
        )
        as_it_was = {"created_at": slip_orders.c.created_at}
        connection.execute(row.on_conflict_do_update(index_elements=slip_orders.primary_key.columns, set_=as_it_was))


def reprints_of(connection: Connection, key: Key) -> list[Reprint]:
    """All reprints of the key's order and event, by copy."""
    table = reprints.c
    statement = (
        sa.select(table.copy, table.reason, table.asked_at)
        .where(table.order_number == key.order_number, table.event_type == key.event_type)
        .order_by(table.copy)
    )
    return [Reprint(*row) for row in connection.execute(statement)]


def reprint_among(asked: list[Reprint], copy: int) -> Reprint | None:
    """The one that the copy was made for, or None where the event asked for it."""
    return next((reprint for reprint in reversed(asked) if reprint.copy <= copy), None)
