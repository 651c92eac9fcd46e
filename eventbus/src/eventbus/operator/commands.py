"""What each `bus` command does: asks, prints, returns its exit code."""

import sys
from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from eventbus.operator import announcements, check, declare, output, parked, redrive, users
from eventbus.operator import departments as states
from eventbus.operator import leave as leaving
from eventbus.operator.connection import connected, vhost_of
from eventbus.operator.errors import RefusedError
from eventbus.operator.management import Management
from eventbus.operator.parked import Filter, Parked, queue_of
from eventbus.topology import EVENTS, shared

DONE, DIFFERS, LEFT = 0, 1, 1


def topology_show(options: Namespace) -> int:
    wanted = shared(options.tier_seconds, options.archive_bytes)
    _print(output.table(("kind", "name", "what"), map(declare.described, wanted)))
    return DONE


def topology_declare(options: Namespace) -> int:
    wanted = shared(options.tier_seconds, options.archive_bytes)
    with connected(options.amqp_url) as connection:
        steps = declare.declare(connection, wanted)
    new = [step for step in steps if step.happened == "declared"]
    _print(output.table(("kind", "name", "what"), [declare.described(step.object) for step in new]))
    _print([f"{output.plural(len(new), 'object')} declared" if new else "nothing to declare: all stands as wanted"])
    return DONE


def topology_check(options: Namespace) -> int:
    wanted = shared(options.tier_seconds, options.archive_bytes)
    broker = check.Broker(_management(options))
    known = announcements.read(options.amqp_url, options.archive_events)
    lines = check.differences(broker, wanted, known)
    _print(lines)
    if lines:
        _print([output.plural(len(lines), "difference")])
        return DIFFERS
    _print(
        [f"no difference: shared objects and {output.plural(len(broker.departments()), 'department')} are as wanted"]
    )
    return DONE


def topology_unbind(options: Namespace) -> int:
    name, pattern = options.department, options.pattern
    broker = check.Broker(_management(options))
    if pattern not in check.patterns_bound(broker, name):
        raise RefusedError(f"{name} is not bound to {pattern!r}: bus departments lists the patterns")
    claimed = check.patterns_claimed(broker, name, announcements.read(options.amqp_url, options.archive_events))
    if pattern in claimed and not options.force:
        raise RefusedError(f"{name} announced {pattern!r}: it binds it again at its next start; --force unbinds it now")
    with connected(options.amqp_url) as connection:
        connection.channel().queue_unbind(name, EVENTS, pattern)
    _print([f"unbound    {pattern} on {EVENTS}"])
    return DONE


def departments(options: Namespace) -> int:
    management = _management(options)
    broker = check.Broker(management)
    known = announcements.read(options.amqp_url, options.archive_events)
    with connected(options.amqp_url) as connection:
        found = states.departments(connection, management, broker, known)
        waiting = states.shared_queues(connection, broker)
    unknown = "never" if known.complete else f"none in the last {known.events_read} events"
    _print(
        output.table(
            ("department", "ready", "unacked", "consumers", "parked", "last announcement", "version", "patterns"),
            [
                (
                    state.name,
                    state.ready,
                    state.unacked,
                    "paused" if state.is_connected and not state.consumers else state.consumers,
                    state.parked,
                    _announcement(state, unknown),
                    state.announced.version if state.announced else None,
                    " ".join(check.patterns_bound(broker, state.name)) or None,
                )
                for state in found
            ],
        )
        or ["no department has a queue"]
    )
    _print(["", *output.table(("for all", "ready", "stuck"), [(w.queue, w.ready, w.stuck) for w in waiting])])
    return DONE


def parked_list(options: Namespace) -> int:
    messages = _look(options)
    _print(output.parked_table(messages))
    _print([_summary(options, messages)])
    return DONE


def parked_show(options: Namespace) -> int:
    messages = _look(options)
    for message in messages:
        _print([*output.parked_in_full(message), ""])
    _print([_summary(options, messages)])
    return DONE


def parked_redrive(options: Namespace) -> int:
    queue = queue_of(None if options.unclaimed else options.department)
    counts = {"redriven": 0, "would redrive": 0, "left": 0}
    unseen: list[int] = []
    with connected(options.amqp_url) as connection:
        for done in redrive.redrive(
            connection,
            _management(options),
            queue,
            _filter(options),
            dry_run=options.dry_run,
            on_unseen=unseen.append,
        ):
            counts[done.happened] += 1
            m = done.message
            line = f"{done.happened:<13}  {m.department}  {m.order_number or '-'}  {m.routing_key or '-'}  {done.why}"
            _print([line.rstrip()])
    if not any(counts.values()):
        _print([f"nothing to redrive in {queue}"])
    else:
        said = ", ".join(f"{count} {happened}" for happened, count in counts.items() if count)
        _print([f"dry run, nothing was changed: {said}" if options.dry_run else said])
    for count in unseen:
        _print([f"{output.plural(count, 'more message')} left in {queue}: one command takes {parked.SNAPSHOT_MAX}"])
    return LEFT if counts["left"] or unseen else DONE


def parked_drop(options: Namespace) -> int:
    queue = queue_of(None if options.unclaimed else options.department)
    management = _management(options)
    with connected(options.amqp_url) as connection:
        seen = redrive.look(connection, management, queue, _filter(options))
    chosen = seen.messages
    _print([*output.parked_table(chosen), *_unseen(seen.unseen)])
    if not chosen:
        _print([f"nothing to drop in {queue}"])
        return DONE
    if options.dry_run:
        _print([f"dry run, nothing was changed: {output.plural(len(chosen), 'message')} would be dropped"])
        return DONE
    path = Path(options.file or f"dropped-{queue}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.jsonl")
    if not options.yes and not _agreed(f"Drop {output.plural(len(chosen), 'message')} of {queue} for good? [y/N] "):
        _print(["nothing was dropped"])
        return LEFT
    with connected(options.amqp_url) as connection:
        dropped = redrive.drop(connection, management, queue, chosen, path)
    _print([f"{output.plural(len(dropped), 'message')} dropped, written to {path} (holds customers' names)"])
    return DONE if len(dropped) == len(chosen) else LEFT


def leave(options: Namespace) -> int:
    management = _management(options)
    if options.delete_user:
        users.check_administrator(management)
    if options.dry_run:
        _print(["dry run, nothing is changed:"])
    with connected(options.amqp_url) as connection:
        for line in leaving.leave(
            connection,
            management,
            options.department,
            delete=options.delete_queues,
            force=options.force,
            dry_run=options.dry_run,
        ):
            _print([line])
    if options.delete_user:
        _print(users.remove(management, options.department, dry_run=options.dry_run))
    return DONE


def _look(options: Namespace) -> list[Parked]:
    management = _management(options)
    if options.unclaimed or options.department:
        queues = [queue_of(None if options.unclaimed else options.department)]
    else:
        broker = check.Broker(management)
        queues = [queue_of(name) for name in broker.departments() if queue_of(name) in broker.queues]
    found: list[Parked] = []
    with connected(options.amqp_url) as connection:
        for queue in queues:
            seen = redrive.look(connection, management, queue, _filter(options))
            found += seen.messages
            _print(_unseen(seen.unseen))
    return found


def _unseen(count: int) -> list[str]:
    return [f"{output.plural(count, 'more message')} behind these: not looked at"] if count else []


def _filter(options: Namespace) -> Filter:
    return Filter(
        department=options.department,
        reason=options.reason,
        reason_class=options.reason_class,
        order=options.order,
        message_id=options.message_id,
    )


def _summary(options: Namespace, messages: list[Parked]) -> str:
    what = "unclaimed" if options.unclaimed else "parked"
    return f"{output.plural(len(messages), 'message')} {what}" if messages else f"nothing is {what}"


def _announcement(state: states.DepartmentState, unknown: str) -> str:
    if state.announced is None:
        return unknown
    return f"{'' if state.announced.joined else 'left '}{state.announced.time:%Y-%m-%dT%H:%M:%SZ}"


def _management(options: Namespace) -> Management:
    return Management(options.management_url, vhost_of(options.amqp_url))


def _agreed(question: str) -> bool:
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
