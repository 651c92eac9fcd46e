"""`python -m printer reprint | status | forget`: what people ask of the ledger, beside the running department."""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from eventbus.settings import SettingsError, config_path, load_or_exit
from sqlalchemy.engine import Connection, Engine

from eventbus import database
from printer.copies import Reprint
from printer.erasure import forget
from printer.reprint import Copies, Copy, RefusedError, ask_for_reprint, copies_of
from printer.settings import PrinterSettings
from printer.tables import tenant

Result = TypeVar("Result")


class _Transactions:
    """Transactions of a process without eventlet."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, work: Callable[[Connection], Result]) -> Result:
        with self._engine.begin() as connection:
            return work(connection)

    def close(self) -> None:
        self._engine.dispose()


def run_command(arguments: argparse.Namespace) -> int:
    """Do what was asked; the exit code: 0, or 1 with one line on standard error. A wrong configuration ends with 78."""
    settings = load_or_exit(PrinterSettings, config_path("printer"))
    try:
        with closing(_open(settings)) as transactions:
            match arguments.command:
                case "reprint":
                    _reprint(transactions, arguments.order, arguments.reason)
                case "status":
                    _print_status(copies_of(transactions, arguments.order))
                case "forget":
                    _forget(transactions, arguments.order, settings)
    except (RefusedError, SettingsError) as error:
        return _fail(str(error))
    except sa.exc.DBAPIError as error:
        return _fail(f"the database of {settings.department} does not answer: {type(error.orig).__name__}")
    return 0


def _open(settings: PrinterSettings) -> _Transactions:
    url = database.parse_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        raise RefusedError(f"{settings.department} has no database yet: {url.database}")
    database.upgrade(settings.database_url, "printer")
    transactions = _Transactions(database.create_engine(settings.database_url, application_name="printer command"))
    owner = transactions.run(lambda connection: connection.scalar(sa.select(tenant.c.department)))
    if owner not in (None, settings.department):
        transactions.close()
        raise RefusedError(f"DATABASE_URL: expected the database of {settings.department}, got that of {owner}")
    return transactions


def _reprint(transactions: _Transactions, order_number: str, reason: str) -> None:
    entry = ask_for_reprint(transactions, order_number, reason)
    _say(f"{entry.order_number}: copy {entry.copy} will be printed, marked REPRINT")
    _say(f"What becomes of it: python -m printer status {entry.order_number}")


def _forget(transactions: _Transactions, order_number: str, settings: PrinterSettings) -> None:
    number, was_there = forget(transactions, order_number)
    _say(f"{number}: {'erased what stood on its slip' if was_there else 'nothing was kept'}")
    if settings.folder is not None:
        with suppress(OSError):  # a folder that cannot be looked into has no files to tell of
            for path in sorted({*settings.folder.glob(f"{number}.pdf"), *settings.folder.glob(f"{number}.*.pdf")}):
                _say(f"{number}: still in the folder: {path}")


def _print_status(copies: Copies) -> None:
    rows = [("COPY", "STATE", "PAPER", "SINCE", "WHY"), *map(_row, copies.copies)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if copies.kept_since is None:
        _say("What stood on the slip was erased: it cannot be reprinted.")


def _row(copy: Copy) -> tuple[str, str, str, str, str]:
    entry = copy.entry
    why = [part for part in (_why(copy.reprint), entry.detail) if part]
    since = entry.updated_at.strftime("%Y-%m-%d %H:%M:%SZ")
    return str(entry.copy), entry.state, entry.reference or "-", since, "; ".join(why)


def _why(reprint: Reprint | None) -> str | None:
    if reprint is None:
        return None
    return f"reprint: {reprint.reason}" if reprint.reason else "reprint"


def _fail(line: str) -> int:
    print(f"printer: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - a command line's own output
    return 1


def _say(line: str) -> None:
    print(line)  # noqa: T201 - a command line's own output
