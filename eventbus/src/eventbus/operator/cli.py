"""The operator's command line.

Exit codes: 0 done, or nothing to do; 1 refused, busy, or a difference was found; 2 wrong usage; 69 no answer.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from pika.exceptions import AMQPError, ChannelClosedByBroker

from eventbus import rights
from eventbus.operator import commands, user_commands
from eventbus.operator.announcements import EVENTS_READ_MAX
from eventbus.operator.errors import OperatorError, UnreachableError
from eventbus.topology import ARCHIVE_BYTES_MAX, TIERS_S

EXIT_REFUSED = 1
EXIT_UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""
EXIT_INTERRUPTED = 130
AMQP_URL = "amqp://guest:guest@127.0.0.1:5672/"
MANAGEMENT_URL = "http://guest:guest@127.0.0.1:15672"
CLASSES = ("undecodable", "permanent", "exhausted", "crashed")

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    options = _parser().parse_args(arguments)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it logs, our errors say
    command: Command = options.command
    try:
        sys.exit(command(options))
    except UnreachableError as error:
        _fail(str(error), EXIT_UNAVAILABLE)
    except OperatorError as error:
        _fail(str(error), EXIT_REFUSED)
    except ChannelClosedByBroker as error:
        _fail(f"the broker refused: {error.reply_text}", EXIT_REFUSED)
    except AMQPError as error:
        _fail(f"the connection broke, nothing was lost: {error or type(error).__name__}", EXIT_UNAVAILABLE)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `bus … | head`
        sys.exit(EXIT_REFUSED)


def _fail(line: str, code: int) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"bus: {' '.join(line.split())}\n")
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bus",
        description="Look after the order bus: its topology, its departments, messages that wait for a person.",
        epilog="exit codes: 0 done or nothing to do, 1 refused or a difference found, 2 wrong usage, 69 no answer",
    )
    groups = parser.add_subparsers(required=True, metavar="<command>")
    _topology(groups.add_parser("topology", help="exchanges, queues and bindings that everybody shares"))
    found = groups.add_parser("departments", help="who is on the bus, and what waits for whom")
    _add(found, commands.departments, _where, _archive)
    _dead(groups.add_parser("dead", help="messages that a department parked"))
    _unclaimed(groups.add_parser("unclaimed", help="messages for a department that has no queue"))
    left = groups.add_parser("leave", help="take a department off the bus; its processes must be stopped")
    left.add_argument("department")
    left.add_argument("--delete-queues", action="store_true", help="also remove its queues, when they are empty")
    left.add_argument("--delete-user", action="store_true", help="also remove its user; needs an administrator")
    left.add_argument(
        "--force", action="store_true", help="although it is connected (a running process may fail), or unknown here"
    )
    _add(left, commands.leave, _where, _dry_run)
    _users(groups.add_parser("users", help="a broker user for each service, with what it may do and no more"))
    return parser


def _topology(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="<verb>")
    _add(verbs.add_parser("show", help="what the table says; asks no broker"), commands.topology_show, _sizes)
    declared = verbs.add_parser("declare", help="declare what is missing; a difference is an error")
    _add(declared, commands.topology_declare, _where, _sizes)
    checked = verbs.add_parser("check", help="compare the broker with the table, stray bindings included")
    _add(checked, commands.topology_check, _where, _sizes, _archive)
    unbound = verbs.add_parser("unbind", help="take a pattern from a department that does not claim it any more")
    unbound.add_argument("department")
    unbound.add_argument("pattern")
    unbound.add_argument("--force", action="store_true", help="although it announced the pattern")
    _add(unbound, commands.topology_unbind, _where, _archive)


def _dead(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="<verb>")
    for verb, words, command in (
        ("list", "one line for each; takes none away", commands.parked_list),
        ("show", "everything of each, its body (a customer's name) included; takes none away", commands.parked_show),
    ):
        found = verbs.add_parser(verb, help=words)
        found.add_argument("department", nargs="?", help="default: all")
        found.set_defaults(unclaimed=False)
        _add(found, command, _where, _filter)
    redriven = verbs.add_parser("redrive", help="send those that are there now to their department again")
    redriven.add_argument("department")
    redriven.set_defaults(unclaimed=False)
    _add(redriven, commands.parked_redrive, _where, _filter, _dry_run)
    dropped = verbs.add_parser("drop", help="remove messages after writing them to a file")
    dropped.add_argument("department")
    dropped.set_defaults(unclaimed=False)
    _add(dropped, commands.parked_drop, _where, _filter, _dropping, _dry_run)


def _unclaimed(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="<verb>")
    for verb, words, command, more in (
        ("list", "one line for each; takes none away", commands.parked_list, ()),
        ("redrive", "send them to their department, where it has a queue again", commands.parked_redrive, (_dry_run,)),
        ("drop", "remove messages after writing them to a file", commands.parked_drop, (_dropping, _dry_run)),
    ):
        found = verbs.add_parser(verb, help=words)
        found.add_argument("department", nargs="?", help="only what was meant for it")
        found.set_defaults(unclaimed=True)
        _add(found, command, _where, _filter, *more)


def _users(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="<verb>")
    for verb, words, command, more in (
        ("show", "what the table says; asks no broker", user_commands.show, (_nouns,)),
        (
            "declare",
            "make them, or give them exactly their rights; BUS_USER_PASSWORD or BUS_USER_PASSWORD_FILE may give one "
            "user's password",
            user_commands.declare,
            (_where, _nouns, _passwords, _dry_run),
        ),
        ("check", "compare the broker with the table", user_commands.check, (_where, _nouns)),
        ("remove", "take them away", user_commands.remove, (_where, _dry_run)),
    ):
        found = verbs.add_parser(verb, help=words, description=words)
        known = f"{rights.RELAY}, {rights.TOPOLOGY}, {rights.OPERATOR}, orders (the tracker)"
        found.add_argument("users", nargs="+", type=_user, metavar="user", help=f"a department's name, or: {known}")
        _add(found, command, *more)


def _add(
    parser: argparse.ArgumentParser, command: Command, *options: Callable[[argparse.ArgumentParser], None]
) -> None:
    for option in options:
        option(parser)
    parser.set_defaults(command=command)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--amqp-url", default=os.environ.get("AMQP_URL") or AMQP_URL, help="default: AMQP_URL of the environment"
    )
    parser.add_argument(
        "--management-url",
        default=os.environ.get("MANAGEMENT_URL") or MANAGEMENT_URL,
        help="default: MANAGEMENT_URL of the environment",
    )


def _sizes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tier-seconds",
        type=_seconds,
        default=os.environ.get("TIER_SECONDS") or ",".join(f"{s:g}" for s in TIERS_S),
        help="lives of the five retry tiers (TIER_SECONDS, default %(default)s)",
    )
    parser.add_argument(
        "--archive-bytes",
        type=_bytes,
        default=os.environ.get("ARCHIVE_BYTES_MAX") or str(ARCHIVE_BYTES_MAX),
        help="size of the archive (ARCHIVE_BYTES_MAX, default %(default)s)",
    )


def _archive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--archive-events",
        type=int,
        default=EVENTS_READ_MAX,
        help="how many events of the archive's end are read for announcements (default %(default)s)",
    )


def _filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", help="only reasons that contain this text")
    parser.add_argument("--class", dest="reason_class", choices=CLASSES, help="only this class of reason")
    parser.add_argument("--order", help="only this order number")
    parser.add_argument("--id", dest="message_id", help="only the message with this id")


def _dropping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", help="where to write them first (default: dropped-<queue>-<time>.jsonl)")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _nouns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--noun",
        dest="nouns",
        action="append",
        help="of what departments hear, the first word of their patterns (default: order; may be repeated)",
    )


def _passwords(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--urls",
        metavar="FOLDER",
        help="keep each user's AMQP URL there, for its AMQP_URL_FILE; who has none there gets a new password",
    )
    parser.add_argument("--print", action="store_true", help="print the AMQP URL of who gets a password")
    parser.add_argument("--new-password", action="store_true", help="although the user has one")


def _user(text: str) -> str:
    try:
        rights.of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _seconds(text: str) -> tuple[float, ...]:
    seconds = tuple(float(part) for part in text.split(","))
    if len(seconds) != len(TIERS_S) or not all(0 < s < 2_000_000 for s in seconds):
        raise argparse.ArgumentTypeError(f"expected {len(TIERS_S)} numbers of seconds, separated by commas")
    return seconds


def _bytes(text: str) -> int:
    if not text.isdecimal() or int(text) < 1_000_000:
        raise argparse.ArgumentTypeError("expected a number of bytes, 1000000 at least")
    return int(text)
