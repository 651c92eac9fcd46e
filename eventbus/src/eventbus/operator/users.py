"""Putting the table of rights on a broker: one user for each service, with exactly what it may do."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from eventbus.operator.errors import RefusedError
from eventbus.operator.management import Management
from eventbus.rights import Rights

_SHA256 = "rabbit_password_hashing_sha256"
_SALT_BYTES = 4


def new_password() -> str:
    """A random one that needs no quoting in a URL: 192 bits."""
    return secrets.token_urlsafe(24)


def check_administrator(management: Management) -> None:
    """Raises RefusedError when this login may not see and change users."""
    if "administrator" not in management.tags():
        raise RefusedError(f"users need an administrator: MANAGEMENT_URL logs in as {management.user!r}, who is none")


def has_password(management: Management, user: str, password: str) -> bool:
    """Whether that is the user's password, as far as its hash can be read here."""
    found = management.login(user)
    return found is not None and _fits(password, found)


def declare(management: Management, user: str, rights: Rights, password: str | None = None) -> list[str]:
    """The user has exactly these rights here: a line for each thing changed, none where all was so already.

    Rows of topic exchanges come before the rights that they narrow, so that at no moment it may do more.

    Args:
        password: None: that which the user has stays.

    Raises:
        RefusedError: it is the user as whom we ask, or it is new and there is no password.
    """
    _check_other(management, user)
    lines = list(_login(management, user, rights, password))
    stray = {row["exchange"] for row in _rows(management, user)} - {row.exchange for row in rights.topic}
    if stray:  # the API takes all rows or none
        management.delete_permissions(user)
        management.delete_topic_permissions(user)
    for line, change in _wrong(management, user, rights):
        if "exchange" in change:
            management.put_topic_permissions(user, change)
        else:
            management.put_permissions(user, change)
        lines.append(line)
    return lines


def differences(management: Management, user: str, rights: Rights) -> list[str]:
    """One line for each thing that is not as the table says."""
    found = management.login(user)
    if found is None:
        return [f"user {user}: missing"]
    lines = []
    if _tags(found) != sorted(rights.tags):
        lines.append(_line(user, "tags", " ".join(_tags(found)), " ".join(rights.tags)))
    lines += [line for line, _ in _wrong(management, user, rights)]
    wanted = {row.exchange for row in rights.topic}
    strays = sorted(row["exchange"] for row in _rows(management, user) if row["exchange"] not in wanted)
    return lines + [f"user {user}: nobody claims its row for topic exchange {exchange}" for exchange in strays]


def remove(management: Management, user: str, *, dry_run: bool = False) -> list[str]:
    """Take the user's rights here; where it has none in other virtual hosts, the user. A line for what was done.

    Its open connections are refused everything from then on.

    Raises:
        RefusedError: it is the user as whom we ask.
    """
    _check_other(management, user)
    if management.login(user) is None:
        return []
    elsewhere = sorted(row["vhost"] for row in management.permissions(user) if row["vhost"] != management.vhost)
    if not elsewhere:
        if not dry_run:
            management.delete_login(user)
        return [f"removed    user {user}"]
    if not dry_run:
        management.delete_permissions(user)
        management.delete_topic_permissions(user)
    return [f"removed    rights of user {user}, who stays for virtual host {', '.join(elsewhere)}"]


def _check_other(management: Management, user: str) -> None:
    if user == management.user:
        raise RefusedError(f"user {user} is the one as whom you ask: another administrator has to do this")


def _login(management: Management, user: str, rights: Rights, password: str | None) -> Iterator[str]:
    found = management.login(user)
    if found is None and password is None:
        raise RefusedError(f"user {user} is new and needs a password: --urls, --print or BUS_USER_PASSWORD")
    if found is not None and _tags(found) == sorted(rights.tags) and (password is None or _fits(password, found)):
        return
    kept = {name: found[name] for name in ("password_hash", "hashing_algorithm")} if found else {}
    secret: Mapping[str, str] = kept if password is None else {"password": password}
    management.put_login(user, {**secret, "tags": ",".join(rights.tags)})
    yield f"user {user}: {'created' if found is None else 'password or tags set'}"


def _wrong(management: Management, user: str, rights: Rights) -> Iterator[tuple[str, dict[str, str]]]:
    """What has to be set, topic exchanges first, each with its line."""
    rows = {row["exchange"]: row for row in _rows(management, user)}
    for row in rights.topic:
        have, want = rows.get(row.exchange, {}), {"write": row.write, "read": row.read}
        if different := _different(have, want):
            yield _line(user, f"topic exchange {row.exchange}", *different), {"exchange": row.exchange, **want}
    here = [found for found in management.permissions(user) if found["vhost"] == management.vhost]
    want = {"configure": rights.configure, "write": rights.write, "read": rights.read}
    if different := _different(here[0] if here else {}, want):
        yield _line(user, "rights", *different), want


def _rows(management: Management, user: str) -> list[dict[str, str]]:
    return [row for row in management.topic_permissions(user) if row["vhost"] == management.vhost]


def _different(have: Mapping[str, str], want: Mapping[str, str]) -> tuple[str, str] | None:
    """Both in words, where they differ."""
    names = [name for name in want if have.get(name) != want[name]]
    if not names:
        return None
    return (
        ", ".join(f"{name} {have[name]}" for name in names if name in have),
        ", ".join(f"{name} {want[name]}" for name in names),
    )


def _line(user: str, what: str, have: str, want: str) -> str:
    return f"user {user}: {what}: have {have or 'none'}, want {want or 'none'}"


def _tags(found: Mapping[str, Any]) -> list[str]:
    tags = found["tags"]
    return sorted(filter(None, tags.split(",") if isinstance(tags, str) else tags))


def _fits(password: str, found: Mapping[str, Any]) -> bool:
    if found.get("hashing_algorithm") != _SHA256:
        return False
    stored = base64.b64decode(found.get("password_hash") or "")
    salt, digest = stored[:_SALT_BYTES], stored[_SALT_BYTES:]
    return hmac.compare_digest(hashlib.sha256(salt + password.encode()).digest(), digest)
