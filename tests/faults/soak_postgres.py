"""What the services' databases hold: bytes, live and dead rows by table."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from eventbus import database

_TABLES = sa.text(
    "SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables ORDER BY relname"
)
_WAL = sa.text("SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()")
_SESSIONS = sa.text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")


class Databases:
    """Looks into databases of one server.

    Args:
        urls: by service.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._engines: dict[str, Engine] = {
            name: database.create_engine(url, writes=False) for name, url in urls.items()
        }

    def sample(self) -> dict[str, float]:
        """`table.<service>.<table>` (bytes, with indexes), `live.…`, `dead.…` (rows), `disk.postgresql wal` (bytes),
        `sessions.postgresql`."""
        found: dict[str, float] = {}
        for service, engine in self._engines.items():
            with engine.connect() as connection:
                for table, live, dead, size in connection.execute(_TABLES):
                    found[f"table.{service}.{table}"] = size
                    found[f"live.{service}.{table}"] = live
                    found[f"dead.{service}.{table}"] = dead
                found["disk.postgresql wal"] = float(connection.scalar(_WAL) or 0)
                found["sessions.postgresql"] = float(connection.scalar(_SESSIONS) or 0)
        return found

    def close(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
