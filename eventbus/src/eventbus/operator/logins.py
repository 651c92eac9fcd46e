"""The AMQP URLs of users in a folder: one file each, named as the user, that only its owner can read.

A service reads its own by `AMQP_URL_FILE`.
"""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from eventbus.operator.connection import as_user, hosts
from eventbus.operator.errors import RefusedError


def kept_password(folder: Path, user: str) -> str | None:
    """The password in that user's URL, or None where the folder has none.

    Raises:
        RefusedError: the file cannot be read, or holds something else.
    """
    path = folder / user
    try:
        urls = hosts(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: cannot be read: {error}") from error
    if not (password := password_in(urls[0]) if urls else None):
        raise RefusedError(f"{path}: expected amqp://{user}:password@host:port/vhost, got something else")
    return password


def password_in(amqp_url: str) -> str | None:
    """The password in that URL, or None."""
    parts = urlsplit(amqp_url)
    return unquote(parts.password) if parts.scheme in ("amqp", "amqps") and parts.password else None


def keep(folder: Path, user: str, amqp_url: str, password: str) -> str:
    """Write the user's URL, which differs from `amqp_url` in the login only. Returns it.

    On return it is on the disk: a password must not be lost once a broker has it.

    Raises:
        RefusedError: it cannot be written.
    """
    url = as_user(amqp_url, user, password)
    path, new = folder / user, folder / f".{user}.new"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{url}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be written: {error.strerror}") from error
    return url
