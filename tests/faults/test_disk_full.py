"""The disk of PostgreSQL is full: of its tables, and of its log, which ends the whole server."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from eventbus.testing.postgresql import PostgreSQLServer
from eventbus.testing.waiting import wait_until

from .conftest import Run
from .parts import Parts
from .small_disk import SmallDisk, small_disk

SCENARIO = 6
PARTS = Parts(gateways=2, relays=2, departments=("marketing",))

RATE = 40
TABLES = ("orders", "outbox", "progress")
TABLES_MB = 3
LOG_MB = 48
"""Three segments of the log."""


def test_disk_of_the_tables_full(run: Run) -> None:
    """Disk of PostgreSQL's tables full under load, then free again (needs root)"""
    server = run.shop.server
    assert server is not None
    with _tables_on_small_disk(run, server) as disk:
        with run.customers.placing(RATE):
            run.customers.wait_placed(run.rng.randint(5, 20))
            disk.fill()
            wait_until(lambda: run.customers.answers["503"] > 0, 90, "customers are told to try again")
            disk.free()
            run.customers.wait_placed(10)
        run.assert_kept()


def test_disk_of_the_log_full(run: Run) -> None:
    """Disk of PostgreSQL's write-ahead log full under load: the server dies, and comes back with room (needs root)"""
    server = run.shop.server
    assert server is not None
    with _log_on_small_disk(run, server) as disk:
        run.shop.wait_ready()
        with run.customers.placing(RATE):
            run.customers.wait_placed(run.rng.randint(5, 20))
            disk.fill()
            wait_until(lambda: _log_panics(server), 90, "the server has died")
            wait_until(lambda: run.customers.answers["503"] > 0, 90, "customers are told to try again")
            disk.free()
            if server.pid is None:  # it gives up when it cannot even recover
                server.start()
            run.customers.wait_placed(10)
        run.assert_kept()


def _log_panics(server: PostgreSQLServer) -> bool:
    """Begin new segments of the log until there is no room for one."""
    try:
        with psycopg.connect(server.url(), autocommit=True, connect_timeout=3) as connection:
            connection.execute("SELECT txid_current(), pg_switch_wal()")
    except psycopg.OperationalError:
        return True
    return False


@contextmanager
def _tables_on_small_disk(run: Run, server: PostgreSQLServer) -> Iterator[SmallDisk]:
    with (
        small_disk(_folder(server), TABLES_MB, server.account) as disk,
        psycopg.connect(run.shop.database_url("orders"), autocommit=True) as connection,
    ):
        connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'".encode())
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} SET TABLESPACE small".encode())
        try:
            yield disk
        finally:
            disk.free()
            for table in TABLES:
                connection.execute(f"ALTER TABLE {table} SET TABLESPACE pg_default".encode())
            connection.execute("DROP TABLESPACE small")


@contextmanager
def _log_on_small_disk(run: Run, server: PostgreSQLServer) -> Iterator[SmallDisk]:
    log = server.data / "pg_wal"
    with small_disk(_folder(server), LOG_MB, server.account) as disk:
        moved = disk.path / "pg_wal"
        server.stop()
        shutil.move(log, moved)
        _own(moved, server.account)
        log.symlink_to(moved)
        server.start()
        try:
            yield disk
        finally:
            disk.free()
            server.stop()
            log.unlink()
            shutil.move(moved, log)
            _own(log, server.account)
            server.start()


def _folder(server: PostgreSQLServer) -> Path:
    return server.data.parent / "small-disk"


def _own(folder: Path, owner: str | None) -> None:
    if owner is not None:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, owner)
