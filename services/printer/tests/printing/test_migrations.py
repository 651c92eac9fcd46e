"""The printer's database as its migrations make it."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from eventbus.department import InHand
from eventbus.department.ledger import NEW, utcnow
from eventbus.testing.builders import an_event
from printer import follower as following
from printer import ipp_queue, submission
from printer.desk import Desk
from printer.records import ABORTED, ACCEPTED, CREATED, CREATING, SENDING, Records
from printer.tables import follower, ledger, metadata, reprints, tenant

from eventbus import database

from .steps import A4, a_queue, follow_until, print_until_in_hand, row


def test_migrations_make_what_the_code_expects(transactions: Any) -> None:
    with transactions.engine.connect() as connection:
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"version_table": "printer_revision"}), metadata
            )
            == []
        )


def as_of_the_first_revision(transactions: Any) -> None:
    def undo(connection: sa.Connection) -> None:
        connection.execute(sa.text("DROP INDEX slip_orders_created_at"))
        for table in (reprints, tenant, follower):
            table.drop(connection)
        connection.execute(sa.text("UPDATE printer_revision SET version_num = '0001'"))

    transactions.run(undo)


@pytest.mark.parametrize("state", [NEW, CREATING, CREATED, SENDING, ACCEPTED, ABORTED])
def test_slip_of_the_first_revision_is_printed_once_whatever_its_state(
    database_url: str, ippeveprinter: Any, any_desk: Desk, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "SETTLE_S", 0.0)
    monkeypatch.setattr(submission, "UNATTENDED_SETTLE_S", 0.0)
    monkeypatch.setattr(following, "POLL_MAX_S", 0.0)
    monkeypatch.setattr(ipp_queue, "IPP_LEASE_S", 0.0)
    queue, event = a_queue(ippeveprinter.uri), an_event()
    as_it_was: dict[str, Any] = {"owner": None, "lease_until": None, "last_sent_at": utcnow(), "extra": "{}"}
    if state == ABORTED:
        ippeveprinter.abort_next()
    if state in (SENDING, ACCEPTED, ABORTED):
        queue.print_once(event, any_desk)
    else:
        Records(any_desk.transactions, 0.0).claim(event, "its worker", ())
    if state in (CREATING, CREATED):
        ippeveprinter.client().create_job(event.subject, A4)
    if state not in (NEW, CREATING):
        as_it_was["extra"] = '{"job_id": 1}'
    any_desk.transactions.run(
        lambda connection: connection.execute(
            ledger.update().values(state=ACCEPTED if state == ABORTED else state, **as_it_was)
        )
    )
    as_of_the_first_revision(any_desk.transactions)
    database.upgrade(database_url, "printer")
    assert isinstance(print_until_in_hand(queue, event, any_desk), InHand)
    follow_until(queue, any_desk, "done", event.subject)
    assert ippeveprinter.papers() == [f"{event.subject}.2" if state == ABORTED else event.subject]
    assert row(any_desk, event.subject).state == (ABORTED if state == ABORTED else "printed")
