"""The command line of `python -m orders rebuild`.

Exit codes are those of `bus`: 0 done, or nothing to do; 1 refused; 2 wrong usage; 69 broker or database away;
78 wrong configuration; 130 interrupted.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from eventbus.contract import Event, OrderCreated, parse_rfc3339, rfc3339
from eventbus.operator import declare
from eventbus.operator.cli import EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_UNAVAILABLE, MANAGEMENT_URL
from eventbus.operator.connection import connected, vhost_of
from eventbus.operator.errors import OperatorError, UnreachableError
from eventbus.operator.management import Management
from eventbus.operator.output import plural, table
from eventbus.settings import config_path, load_or_exit
from pika.exceptions import AMQPError

from eventbus import database, logs, topology
from orders.rebuild.errors import AwayError, RebuildError, RefusedError
from orders.rebuild.history import History
from orders.rebuild.publishing import Republisher
from orders.rebuild.readiness import unready, wait_ready
from orders.rebuild.safety import objections
from orders.relay.settings import RelaySettings

CLOCKS_APART = timedelta(minutes=1)
"""By how much a gateway's clock may be ahead of ours. What is published twice for it counts once."""
RATE = 1000.0
WAIT_S = 300.0
PATIENCE_S = 60.0
PROGRESS_EVERY_S = 1.0


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    options = parse(arguments)
    settings = load_or_exit(RelaySettings, config_path("orders"))
    logs.configure("orders-rebuild")
    return run(settings, options)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line's options. Wrong usage ends the process with exit code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.until is not None and options.until <= options.since:
        parser.error("--to is not after --from")
    return options


def run(settings: RelaySettings, options: argparse.Namespace) -> int:
    """Do what `parse` understood; the exit code."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it logs, our errors say
    rebuild = Rebuild(settings, options)
    try:
        rebuild.run()
    except (AwayError, UnreachableError) as error:
        return rebuild.failed(str(error), EXIT_UNAVAILABLE)
    except (RebuildError, OperatorError) as error:
        return rebuild.failed(str(error), EXIT_REFUSED)
    except AMQPError as error:
        return rebuild.failed(f"the connection broke: {error or type(error).__name__}", EXIT_UNAVAILABLE)
    except KeyboardInterrupt:
        return rebuild.failed("interrupted", EXIT_INTERRUPTED)
    return 0


class Rebuild:
    """One run: who is there, what is asked, then the events."""

    def __init__(self, settings: RelaySettings, options: argparse.Namespace) -> None:
        self._settings = settings
        self._since: datetime = options.since
        self._until: datetime | None = options.until
        self._dry_run: bool = options.dry_run
        self._rate: float = options.rate
        self._wait_s: float = options.wait
        self._allowed: list[str] = options.allow
        self._amqp_url = ",".join(settings.amqp_url)
        self._management = Management(options.management_url, vhost_of(self._amqp_url))
        self._history = History(settings.database_url)
        self._position: datetime | None = None
        self._told_at = 0.0

    def run(self) -> None:
        """Raises RebuildError or OperatorError when it does not get to its end."""
        self._upgrade()
        if not self._dry_run:
            self._declare()
        self._show_departments()
        self._object(self._end())
        if self._dry_run:
            self._tell_plan()
            return
        wait_ready(self._unready, self._wait_s, self._tell_waiting)
        # events that the relay published before now may have missed a department's queue: the span ends here
        until = self._end()
        self._object(until)
        self._publish(until)

    def failed(self, reason: str, code: int) -> int:
        """Say why, and how to go on."""
        sys.stdout.flush()
        go_on = f"; go on with --from {rfc3339(self._position)}" if self._position else ""
        sys.stderr.write(f"rebuild: {' '.join(reason.split())}{go_on}\n")
        return code

    # ------------------------------------------------------------------ before

    def _end(self) -> datetime:
        return self._until or datetime.now(UTC) + CLOCKS_APART

    def _upgrade(self) -> None:
        try:
            database.upgrade(self._settings.database_url, "orders")
        except (sa.exc.DBAPIError, TimeoutError) as error:
            reason = type(getattr(error, "orig", error)).__name__
            raise AwayError(f"DATABASE_URL: the database does not answer: {reason}") from error

    def _declare(self) -> None:
        tier_1, tier_2, tier_3, tier_4, tier_5 = self._settings.tier_seconds
        wanted = topology.shared((tier_1, tier_2, tier_3, tier_4, tier_5), self._settings.archive_bytes_max)
        with connected(self._amqp_url) as connection:
            steps = declare.ensure(connection, wanted)
        declared = sum(step.happened == "declared" for step in steps)
        _say(f"topology stands: {declared} of {plural(len(steps), 'object')} declared")

    def _show_departments(self) -> None:
        rows = [
            (m.name, ", ".join(m.patterns), m.periods[-1].since, m.remembers_since) for m in self._history.members()
        ]
        for line in table(("department", "patterns", "since", "remembers since"), rows):
            _say(line)

    def _object(self, until: datetime) -> None:
        found = list(objections(self._history, self._history.members(), self._since, until))
        refused = [each for each in found if each.department not in self._allowed]
        for each in found:
            if each not in refused:
                _say(f"allowed: {each}")
        if refused:
            names = " ".join(f"--allow {name}" for name in sorted({each.department for each in refused}))
            raise RefusedError(
                f"{'; '.join(map(str, refused))}. Give a later --from, or, where that is wanted, {names}; "
                "nothing was published"
            )

    def _unready(self) -> list[str]:
        return unready(self._management, self._history.members())

    def _tell_waiting(self, lines: list[str]) -> None:
        for line in lines:
            _say(f"waiting for {line}")

    def _tell_plan(self) -> None:
        for line in self._unready():
            _say(f"not ready: {line}")
        extent = self._history.extent(self._since, self._end())
        _say(
            f"would publish {plural(extent.orders, 'event')}"
            + (f", from {rfc3339(extent.first)}" if extent.first else "")
        )

    # ------------------------------------------------------------------ the events

    def _publish(self, until: datetime) -> None:
        extent = self._history.extent(self._since, until)
        if extent.first is None:
            _say("no orders in that time")
            return
        with Republisher(self._settings, self._rate or None, PATIENCE_S) as republisher:

            def confirmed(last: Event[OrderCreated]) -> None:
                self._position = last.data.created_at
                if time.monotonic() - self._told_at >= PROGRESS_EVERY_S:
                    self._told_at = time.monotonic()
                    at = rfc3339(self._position)
                    _say(f"published {republisher.confirmed} of {extent.orders}, go on with --from {at}")

            for page in self._history.pages(extent.first, until):
                republisher.publish(page, confirmed)
            _say(f"done: published {plural(republisher.confirmed, 'event')}; departments drop what they know")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orders rebuild",
        description="After a broker has lost its data: declare the topology, wait for every department's queue, and "
        "publish the events of stored orders again, with the ids they had. Departments drop what they know, so it may "
        "be run again from the start at any time.",
        epilog="exit codes: 0 done or nothing to do, 1 refused, 2 wrong usage, 69 no answer, 78 wrong configuration",
    )
    parser.add_argument(
        "--from",
        dest="since",
        type=_moment,
        required=True,
        metavar="TIME",
        help="orders placed from then on: early enough for the oldest that any department had still to do "
        "(2026-11-24T07:00:00Z)",
    )
    parser.add_argument("--to", dest="until", type=_moment, metavar="TIME", help="and before then (default: now)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done; declares nothing")
    parser.add_argument(
        "--rate",
        type=_number,
        default=RATE,
        help="events a second at most, so that new orders are not held up (default %(default)g; 0: no bound)",
    )
    parser.add_argument(
        "--wait", type=_number, default=WAIT_S, metavar="SECONDS", help="for departments (default %(default)g)"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="DEPARTMENT",
        help="although it would do something again, or get orders from before it joined; may be repeated",
    )
    parser.add_argument(
        "--management-url",
        default=os.environ.get("MANAGEMENT_URL") or MANAGEMENT_URL,
        help="of a user that may look at queues; default: MANAGEMENT_URL of the environment",
    )
    return parser


def _moment(text: str) -> datetime:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more, got {text!r}")
    return number


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
