"""`sap-sandbox`: runs the sandbox, or talks to one that runs.

Exit codes: 0 done, or nothing to do; 1 refused; 2 wrong usage; 69 no answer; 78 wrong configuration.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from sap_sandbox import commands
from sap_sandbox.admin_client import AdminClient, AdminError, UnreachableError
from sap_sandbox.faults.kinds import Call
from sap_sandbox.faults.rule import BodyForm, RetryAfterForm

EXIT_REFUSED = 1
EXIT_UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""
EXIT_INTERRUPTED = 130
EPILOG = "exit codes: 0 done or nothing to do, 1 refused, 2 wrong usage, 69 no answer, 78 wrong configuration"

Command = Callable[[AdminClient, argparse.Namespace], list[str]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, or the server, and end the process with its exit code."""
    options = _parser().parse_args(arguments)
    if options.command is None:
        from sap_sandbox.serve import serve  # a command needs no web server and no database

        serve()
        return
    command: Command = options.command
    try:
        lines = command(AdminClient(options.url), options)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except UnreachableError as error:
        _fail(str(error), EXIT_UNAVAILABLE)
    except AdminError as error:
        _fail(str(error), EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `sap-sandbox orders | head`
        sys.exit(EXIT_REFUSED)


def _fail(line: str, code: int) -> NoReturn:
    sys.stderr.write(f"sap-sandbox: {' '.join(line.split())}\n")
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sap-sandbox", description="Run the SAP sandbox, or look into one that runs and steer it.", epilog=EPILOG
    )
    parser.set_defaults(command=None)
    groups = parser.add_subparsers(metavar="<command>", title="commands (without one: run the sandbox)")
    _add(groups.add_parser("stats", help="orders by reference, answers, sessions"), commands.stats)
    _faults(groups.add_parser("faults", help="the fault plan: which calls fail, and how"))
    _orders(groups.add_parser("orders", help="its sales orders, and what a person would do to them"))
    expired = groups.add_parser("expire-sessions", help="end all sessions, as an SAP restart would")
    expired.add_argument("--every", type=float, metavar="SECONDS", help="again and again, until the rule is cleared")
    _add(expired, commands.expire_sessions)
    return parser


def _faults(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="<verb>")
    _add(verbs.add_parser("show", help="the rules, and how often each struck"), commands.faults_show)
    _add(verbs.add_parser("kinds", help="the faults that there are"), commands.faults_kinds)
    cleared = verbs.add_parser("clear", help="take rules out")
    cleared.add_argument("id", nargs="*", type=int, help="only these rules")
    _add(cleared, commands.faults_clear)
    added = verbs.add_parser("add", help="let a fault strike", epilog="`sap-sandbox faults kinds` lists the faults")
    added.add_argument("fault")
    added.add_argument("--call", choices=[str(call) for call in Call], help="default: create")
    added.add_argument("--reference", help="only this order; * stands for any characters")
    added.add_argument("--count", type=int, help="so many times, not until the rule is cleared")
    added.add_argument("--probability", type=float, help="not each time: 0.1 is one call in ten")
    added.add_argument("--seconds", type=float, help="of a delay")
    added.add_argument("--every-s", type=float, help="for expire-sessions: by the clock")
    added.add_argument("--status", type=int, help="for status: 200 to 599")
    added.add_argument("--after-commit", action="store_true", default=None, help="for status: book first")
    added.add_argument("--body-as", choices=[str(form) for form in BodyForm], help="for status; default: html")
    added.add_argument("--retry-after", type=int, help="for 429, 503, status: seconds")
    added.add_argument("--retry-after-as", choices=[str(form) for form in RetryAfterForm], help="default: seconds")
    _add(added, commands.faults_add)


def _orders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", help="only this PurchaseOrderByCustomer; * stands for any characters")
    parser.add_argument("--limit", type=int, default=commands.ORDERS_SHOWN, help="newest (default %(default)s)")
    _add(parser, commands.orders)
    verbs = parser.add_subparsers(metavar="<verb>", title="verbs (without one: show them)")
    removed = verbs.add_parser("remove", help="delete one")
    doubled = verbs.add_parser("double", help="copy one, reference included")
    changed = verbs.add_parser("change", help="change one")
    for verb, command in (
        (removed, commands.orders_remove),
        (doubled, commands.orders_double),
        (changed, commands.orders_change),
    ):
        verb.add_argument("number", help="of the sales order")
        _add(verb, command, is_below=True)
    changed.add_argument("--quantity", help="of the item")
    changed.add_argument("--material", help="of the item")
    changed.add_argument("--item", help="which one, such as 20 (default: the first)")
    changed.add_argument("--reference", dest="new_reference", help="PurchaseOrderByCustomer")


def _add(parser: argparse.ArgumentParser, command: Command, *, is_below: bool = False) -> None:
    """`is_below`: a parser above has `--url`, too, whose value a default here would replace."""
    url = os.environ.get("SAP_SANDBOX_URL") or f"http://127.0.0.1:{os.environ.get('SAP_SANDBOX_PORT') or 8090}"
    default = argparse.SUPPRESS if is_below else url
    parser.add_argument("--url", default=default, help=f"of the sandbox (SAP_SANDBOX_URL; now {url})")
    parser.set_defaults(command=command)
