"""A database belongs to one department: two warehouses on one ledger would follow each other's jobs."""

from typing import Any

import eventlet
import sqlalchemy as sa
from eventbus.department import Database, Transient
from eventbus.department.database import WAIT_S
from eventbus.logs import get_logger
from eventbus.settings import SettingsError
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from printer.tables import tenant

log = get_logger(__name__)


class WarehouseDatabase(Database):
    """Like `Database`; another department's ends the start."""

    def setup(self) -> None:
        super().setup()
        department: str = self.container.config["settings"].department
        owner = self._tenant(department)
        if owner != department:
            raise SettingsError(f"DATABASE_URL: expected a database of its own for {department}, got that of {owner}")

    def _tenant(self, department: str) -> str:
        while True:
            try:
                return self.get_dependency(None).run(lambda connection: moved_in(connection, department))
            except Transient as error:
                log.warning("waiting for the database", error=error.reason)
                eventlet.sleep(WAIT_S)


def moved_in(connection: Connection, department: str) -> str:
    """Whose database this is: the first department's that asked."""
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(tenant).values(only=1, department=department).on_conflict_do_nothing())
    owner: str = connection.scalars(sa.select(tenant.c.department)).one()
    return owner
