"""What each `bus users` command does: asks, prints, returns its exit code."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path

from eventbus import rights
from eventbus.operator import logins, output, users
from eventbus.operator.connection import as_user, vhost_of
from eventbus.operator.errors import RefusedError
from eventbus.operator.management import Management
from eventbus.rights import Rights
from eventbus.settings import substitute

DONE, DIFFERS = 0, 1
PASSWORD = "BUS_USER_PASSWORD"  # noqa: S105 - the name of the variable


def show(options: Namespace) -> int:
    rows = [(user, *row) for user in options.users for row in _rows(_rights(user, options))]
    _print(output.table(("user", "right", "names or keys"), rows))
    return DONE


def declare(options: Namespace) -> int:
    management = _administration(options)
    if options.dry_run:
        lines = list(_differences(management, options))
        _print(["dry run, nothing is changed:", *lines] if lines else ["nothing to change: all is as wanted"])
        return DONE
    given = _given_password(options.users)
    changed = False
    for user in options.users:
        password = given or _password(management, options, user)
        if options.urls and password:
            logins.keep(Path(options.urls), user, options.amqp_url, password)
        lines = users.declare(management, user, _rights(user, options), password)
        _print(lines)
        changed = changed or bool(lines)
        if options.print and password:
            _print([as_user(options.amqp_url, user, password)])
    if not changed:
        _print([f"nothing to change: {output.plural(len(options.users), 'user')} as wanted"])
    return DONE


def check(options: Namespace) -> int:
    lines = list(_differences(_administration(options), options))
    _print(lines)
    _print([output.plural(len(lines), "difference") if lines else "no difference: all is as wanted"])
    return DIFFERS if lines else DONE


def remove(options: Namespace) -> int:
    management = _administration(options)
    if options.dry_run:
        _print(["dry run, nothing is changed:"])
    for user in options.users:
        lines = users.remove(management, user, dry_run=options.dry_run)
        _print(lines or [f"there is no user {user}"])
    return DONE


def _administration(options: Namespace) -> Management:
    management = Management(options.management_url, vhost_of(options.amqp_url))
    users.check_administrator(management)
    return management


def _rights(user: str, options: Namespace) -> Rights:
    try:
        return rights.of(user, options.nouns or rights.NOUNS)
    except ValueError as error:
        raise RefusedError(str(error)) from error


def _differences(management: Management, options: Namespace) -> Iterator[str]:
    for user in options.users:
        yield from users.differences(management, user, _rights(user, options))


def _given_password(named: list[str]) -> str | None:
    try:
        given = substitute(f"${{{PASSWORD}:}}", os.environ)
    except OSError as error:
        raise RefusedError(f"{PASSWORD}_FILE: cannot be read: {error}") from error
    if given and len(named) > 1:
        raise RefusedError(f"{PASSWORD} is one user's: name that one alone, not {', '.join(named)}")
    return given or None


def _password(management: Management, options: Namespace, user: str) -> str | None:
    """None: the user keeps the one that it has, which nobody here knows."""
    if options.urls and not options.new_password and (kept := logins.kept_password(Path(options.urls), user)):
        return kept
    if options.new_password and not (options.urls or options.print):
        raise RefusedError("--new-password: say where it should go, by --urls FOLDER or --print")
    is_wanted = options.urls or options.new_password or (options.print and management.login(user) is None)
    return users.new_password() if is_wanted else None


def _rows(own: Rights) -> Iterator[tuple[str, str]]:
    yield from (("configure", own.configure), ("write", own.write), ("read", own.read))
    for row in own.topic:
        yield f"{row.exchange}: write", row.write
        yield f"{row.exchange}: read", row.read
    yield "tags", " ".join(own.tags) or "-"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
