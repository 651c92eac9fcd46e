"""Databases of the services: engines for SQLite and PostgreSQL, a time type, migrations.

SQLite is for one machine: WAL, every commit on disk, writers queue for five seconds. Transactions of a writing
engine begin IMMEDIATE, because a deferred one that reads and then writes fails at once, whatever the time-out.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine, make_url
from sqlalchemy.pool import NullPool

from eventbus.settings import SettingsError

SQLITE_BUSY_TIMEOUT_S = 5.0
POSTGRESQL_CONNECT_TIMEOUT_S = 3
_MIGRATION_LOCK = 0x0B05
"""PostgreSQL advisory lock of migrations: one at a time in a database."""
_MIGRATION_LOCK_WAIT_S = 60.0


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment with its zone, in UTC. SQLite loses the zone of a DateTime: it keeps text that sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.String(27) if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the database needs a zone")
        value = value.astimezone(UTC)
        if dialect.name != "sqlite":
            return value
        return f"{value.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"  # strftime writes the year 1 as "1"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if dialect.name == "sqlite" else cast(datetime, value).astimezone(UTC)


def parse_url(url: str) -> URL:
    """The URL with its driver: `sqlite:///file` or `postgresql://…` (psycopg 3).

    Raises:
        SettingsError: another database, or no URL at all.
    """
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise SettingsError("DATABASE_URL: expected sqlite:///file or postgresql://…, got something else") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise SettingsError(f"DATABASE_URL: expected sqlite:///file or postgresql://…, got: {backend}")


def is_sqlite(engine: Engine) -> bool:
    """Whether the engine's database is a SQLite file."""
    return engine.dialect.name == "sqlite"


def create_engine(url: str, *, writes: bool = True, application_name: str = "order-bus", **options: Any) -> Engine:
    """An engine on SQLite or PostgreSQL with the settings that the services need. Connects to nothing yet.

    Args:
        url: as `parse_url` takes it. The folder of a SQLite file is made.
        writes: on SQLite, whether its transactions begin IMMEDIATE (a reading engine must not take the write lock).
        application_name: shown in `pg_stat_activity`.
        options: passed on to `sqlalchemy.create_engine`; `connect_args` are merged.
    """
    parsed = parse_url(url)
    options.setdefault("hide_parameters", True)  # an error's text goes into logs: no values of rows in it
    connect_args: dict[str, Any] = dict(options.pop("connect_args", {}))
    if parsed.get_backend_name() == "sqlite":
        folder = Path(cast(str, parsed.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"DATABASE_URL: expected a folder for the file, got: {error}") from error
        connect_args = {"timeout": SQLITE_BUSY_TIMEOUT_S, "check_same_thread": False} | connect_args
        options.setdefault("poolclass", NullPool)
        engine = sa.create_engine(parsed, connect_args=connect_args, **options)
        _prepare_sqlite(engine, writes=writes)
        return engine
    defaults = {
        "connect_timeout": POSTGRESQL_CONNECT_TIMEOUT_S,
        "application_name": application_name,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 5000,
    }
    # psycopg cannot load a time that the server's own zone puts before the year 1
    connect_args["options"] = f"-c timezone=UTC {connect_args.get('options', '')}".strip()
    return sa.create_engine(parsed, connect_args=defaults | connect_args, **options)


def _prepare_sqlite(engine: Engine, *, writes: bool) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 must not begin transactions of its own
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def upgrade(url: str, package: str, give_up: Callable[[], bool] = lambda: False) -> None:
    """Bring the database to the newest revision of `<package>:migrations`. A newer one than we know is left alone.

    Any number of processes may do this at once: they take turns. Each package keeps its revision in a table of its own,
    `<package>_revision`.

    Args:
        url: as `create_engine` takes it.
        package: with a folder `migrations`.
        give_up: asked while another process holds the turn.

    Raises:
        TimeoutError: another process held its turn for a minute, or `give_up` said so.
        SettingsError: as from `create_engine`.
        sqlalchemy.exc.SQLAlchemyError: the database is away, or a revision failed: its transaction is rolled back.
    """
    engine = create_engine(url, application_name=f"{package} migration", poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.attributes["version_table"] = f"{package}_revision"
    with _one_at_a_time(engine, give_up) as connection:
        if _is_newer_than_known(connection, config):
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _is_newer_than_known(connection: Connection, config: Config) -> bool:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    options = {"version_table": config.attributes["version_table"]}
    current = MigrationContext.configure(connection, opts=options).get_current_heads()
    if connection.dialect.name != "sqlite":
        connection.rollback()  # Alembic begins a transaction of its own for each revision, but not inside ours
    return any(revision not in known for revision in current)


@contextmanager
def _one_at_a_time(engine: Engine, give_up: Callable[[], bool]) -> Iterator[Connection]:
    if is_sqlite(engine):
        with engine.begin() as connection:  # BEGIN IMMEDIATE: the file's only writer
            yield connection
        return
    # never wait in pg_advisory_lock: it holds a snapshot, so nothing is vacuumed meanwhile, and ignores SIGTERM.
    # The lock is another connection's: in AUTOCOMMIT a failing migration would leave its first half.
    deadline = time.monotonic() + _MIGRATION_LOCK_WAIT_S
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        while not guard.scalar(sa.select(sa.func.pg_try_advisory_lock(_MIGRATION_LOCK))):
            if give_up():
                raise TimeoutError("given up waiting for another migration")
            if time.monotonic() > deadline:
                raise TimeoutError(f"another migration has held its lock for {_MIGRATION_LOCK_WAIT_S:.0f} s")
            time.sleep(0.1)
        with engine.connect() as connection:
            yield connection  # closing the guard's connection (NullPool) frees the lock, whatever happened


def run_migrations(metadata: sa.MetaData) -> None:
    """The body of a service's `migrations/env.py`."""
    from alembic import context

    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=context.config.attributes["version_table"],
        render_as_batch=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
