"""`bus-sap`, also `python -m sap_bridge <command>`: what may be asked of the bridge's configuration and ledger.

Exit codes: 0 nothing found; 1 something found; 2 could not be done, or wrong usage; 78 wrong configuration.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from eventbus.settings import config_path, load_or_exit

from sap_bridge import preview
from sap_bridge.settings import SapBridgeSettings

EXIT_FOUND = 1
EXIT_IMPOSSIBLE = 2
EXIT_INTERRUPTED = 130

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        sys.exit(command(options))
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `bus-sap … | head`
        sys.exit(EXIT_FOUND)


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
    return parser


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


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _fail(line: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"bus-sap: {' '.join(line.split())}\n")
    return code
