"""Of several replicas one follows the printer's jobs, and tells the others whether the printer waits for a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from eventbus.department.owner import is_gone
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from printer.tables import follower

LEASE_S = 20.0
"""A follower that is silent for so long is replaced. Two at a time do no harm: each row is claimed before it moves."""
ONLY = 1


@dataclass(frozen=True, slots=True)
class Lead:
    """Who follows."""

    is_ours: bool
    trouble: str | None
    """Why the printer prints nothing, as the follower saw it."""


def take_lead(connection: Connection, owner: str, now: datetime) -> Lead:
    """Take or keep the lead, if nobody else has it."""
    row = connection.execute(follower.select().where(follower.c.only == ONLY)).one_or_none()
    if row is not None and row.owner != owner and row.lease_until > now and not is_gone(row.owner):
        return Lead(False, row.trouble)
    ours = {"owner": owner, "lease_until": now + timedelta(seconds=LEASE_S)}
    if row is None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        made = insert(follower).values(only=ONLY, **ours).on_conflict_do_nothing().returning(follower.c.only)
        return Lead(connection.scalar(made) is not None, None)
    as_it_was = sa.and_(follower.c.only == ONLY, follower.c.owner == row.owner)
    taken = sa.update(follower).where(as_it_was).values(**ours).returning(follower.c.only)
    return Lead(connection.scalar(taken) is not None, row.trouble)


def tell_trouble(connection: Connection, owner: str, trouble: str | None) -> None:
    """Tell the other replicas, if the lead is still ours."""
    connection.execute(
        sa.update(follower).where(follower.c.only == ONLY, follower.c.owner == owner).values(trouble=trouble)
    )
