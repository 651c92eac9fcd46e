"""`bus-sap`, also `python -m sap_bridge <command>`: what may be asked of the bridge's configuration and ledger.

Exit codes: 0 nothing found; 1 something found; 2 could not be done, or wrong usage; 78 wrong configuration.
"""

import argparse
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from eventbus.settings import SettingsError, config_path, exit_configuration, load_or_exit

from eventbus import database, logs
from sap_bridge import preview, report
from sap_bridge.bookings import Bookings
from sap_bridge.client import SapClient
from sap_bridge.mapping import as_in_sap
from sap_bridge.reconciliation import Comparison, Reconciliation
from sap_bridge.sap_orders import SapOrders, UnreadableError
from sap_bridge.settings import MARGIN_S, SapBridgeSettings

EXIT_FOUND = 1
EXIT_IMPOSSIBLE = 2
EXIT_INTERRUPTED = 130
FIRST_DAY = date(2000, 1, 1)

Command = Callable[[argparse.Namespace], int]


def main() -> None:
    """Run the command that the process was started with, and end with its exit code."""
    logs.configure("bus-sap", environ={"LOG_LEVEL": "CRITICAL", **os.environ})  # what logs would say, our line says
    logging.getLogger("urllib3").setLevel(logging.NOTSET)  # as the rest
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper), "a process's own"
        stream.reconfigure(errors="backslashreplace")  # a terminal that has no 王 shows \u738b
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `bus-sap … | head`
        sys.exit(EXIT_FOUND)


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command. Raises SystemExit for wrong usage and configuration."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    return command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bus-sap",
        description="Ask the SAP bridge. Configured as the bridge itself, by config.yaml and the environment.",
        epilog="exit codes: 0 nothing found, 1 something found, 2 could not be done, 78 wrong configuration",
    )
    commands = parser.add_subparsers(required=True, metavar="<command>")
    shown = commands.add_parser("preview", help="show the sales order that an order would become; connects to nothing")
    shown.add_argument("file", help="an order as the gateway answers it, or an order.created event; - for stdin")
    shown.add_argument("--json", action="store_true", help="what would be posted, as JSON")
    shown.set_defaults(command=_preview)
    compared = commands.add_parser(
        "reconcile", help="compare ledger and SAP, order by order; changes nothing, may be run at any time"
    )
    days = "day of the orders in the business's time zone, YYYY-MM-DD"
    compared.add_argument("--from", dest="first", required=True, type=_day, metavar="DAY", help=days)
    compared.add_argument("--to", dest="last", required=True, type=_day, metavar="DAY", help="the last")
    compared.add_argument("--json", action="store_true", help="one JSON document")
    compared.set_defaults(command=_reconcile)
    return parser


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a day as YYYY-MM-DD, got {text!r}") from None
    if day < FIRST_DAY:
        raise argparse.ArgumentTypeError(f"expected a day from {FIRST_DAY} on, got {text!r}")
    return day


def _settings() -> SapBridgeSettings:
    return load_or_exit(SapBridgeSettings, config_path("sap_bridge"))


def _preview(options: argparse.Namespace) -> int:
    settings = _settings().sap
    try:
        content = sys.stdin.buffer.read() if options.file == "-" else Path(options.file).read_bytes()
    except OSError as error:
        return _fail(f"{options.file}: {error.strerror}", EXIT_IMPOSSIBLE)
    try:
        order = preview.read_order(content)
        sales_order = preview.sales_order(order, settings)
    except preview.WouldBeParkedError as error:
        return _fail(f"would be parked: {error}", EXIT_FOUND)
    if options.json:
        _print(json.dumps(sales_order.document, ensure_ascii=False, indent=2))
    else:
        _print(*preview.as_text(order, sales_order, settings))
    return 0


def _reconcile(options: argparse.Namespace) -> int:
    if options.first > options.last:
        return _fail("--from is after --to", EXIT_IMPOSSIBLE)
    settings = _settings()
    try:
        comparison = compare(settings, options.first, options.last)
    except SettingsError as error:
        exit_configuration(str(error))
    except UnreadableError as error:
        return _fail(f"could not compare: {error}", EXIT_IMPOSSIBLE)
    except sa.exc.SQLAlchemyError as error:
        what = str(getattr(error, "orig", None) or type(error).__name__)
        return _fail(f"could not compare: the ledger cannot be read: {what}", EXIT_IMPOSSIBLE)
    days = (options.first, options.last, settings.sap.timezone)
    if options.json:
        _print(json.dumps(report.as_json(comparison, *days), ensure_ascii=False, indent=2))
    else:
        _print(*report.as_text(comparison, *days))
    return EXIT_FOUND if comparison.wrong else 0


def compare(settings: SapBridgeSettings, first: date, last: date) -> Comparison:
    """The ledger of the settings compared with their SAP.

    Raises:
        SettingsError: `database_url` names another kind of database.
        UnreadableError, sqlalchemy.exc.SQLAlchemyError: one of both cannot be read.
    """
    sap = settings.sap
    url = database.parse_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise UnreadableError(f"the ledger cannot be read: there is no file {url.database}")
    engine = database.create_engine(settings.database_url, writes=False, application_name="bus-sap")
    client = SapClient(sap)
    try:
        return Reconciliation(
            Bookings(engine, sap.reference_prefix, sap.timezone),
            SapOrders(client, sap.read_timeout_s + MARGIN_S),
            {as_in_sap(area.sold_to) for area in sap.mapping.sales_areas.values()},
            sap.reference_prefix,
            timedelta(seconds=sap.settle_s),
        ).compare(first, last, datetime.now(UTC))
    finally:
        client.close()
        engine.dispose()


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _fail(line: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"bus-sap: {' '.join(line.split())}\n")
    return code
