"""`python -m printer`: the department's process, and what people ask of its ledger."""

import argparse
import sys


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m printer", description="Without a command: runs the printer department until SIGTERM."
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    reprint = commands.add_parser("reprint", help="print an order's slip once more, marked REPRINT")
    reprint.add_argument("order", help="order number; case and dashes do not matter")
    reprint.add_argument("--reason", required=True, help="stands on the slip: one line, 80 characters at most")
    for name, what in (
        ("status", "show the copies of an order's slip and what became of them"),
        ("forget", "erase what stands on an order's slip, the customer's name"),
    ):
        commands.add_parser(name, help=what).add_argument("order", help="order number; case and dashes do not matter")
    arguments = parser.parse_args()
    if arguments.command is None:
        from eventbus.department import run  # prepares eventlet, which a command must not wait for

        run.main("printer.service:PrinterService")
    else:
        from printer.commands import run_command

        sys.exit(run_command(arguments))


if __name__ == "__main__":
    main()
