"""A broker user for each program that needs one, with its own rights alone: planned here, made once the broker runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from broker import Broker
from eventbus.operator import logins, users
from eventbus.operator.connection import vhost_of
from eventbus.operator.errors import OperatorError, RefusedError
from eventbus.operator.management import Management
from progress import StepError

from eventbus import rights


@dataclass(frozen=True)
class Logins:
    """The AMQP URL of each user. With none, all use the login of `AMQP_URL`."""

    urls: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """What to tell about a broker that is not only this instance's."""

    def declare(self, management: Management) -> None:
        """Make the users, or give them exactly their rights. Raises OperatorError."""
        for user in self.urls:
            users.declare(management, user, rights.of(user), logins.password_in(self.urls[user]))


def plan_logins(broker: Broker, named: Iterable[str], folder: Path, *, keeps: bool) -> Logins:
    """The users of these names, with passwords that the folder keeps.

    A broker that runs elsewhere gets none where we may not, where it would keep those of a passing instance, or where
    a user of that name is somebody else's.

    Raises:
        StepError: a name is no user's, or a password cannot be kept.
    """
    wanted = sorted({*named})
    if not wanted:
        return Logins()
    try:
        for user in wanted:
            rights.of(user)
        if not broker.node and (obstacle := _obstacle(broker, wanted, folder, keeps)):
            return Logins(note=f"All programs use the login of AMQP_URL: {obstacle}")
        urls = {}
        for user in [rights.TOPOLOGY, *wanted]:
            password = logins.kept_password(folder, user) or users.new_password()
            urls[user] = logins.keep(folder, user, broker.amqp_url, password)
    except ValueError as error:
        raise StepError(f"processes.conf: users: {error}") from error
    except OperatorError as error:
        raise StepError(str(error)) from error
    told = f"Users on the broker, with their own rights alone: {', '.join(urls)}"
    return Logins(urls, "" if broker.node else told)


def _obstacle(broker: Broker, wanted: list[str], folder: Path, keeps: bool) -> str:
    """Why a broker that runs elsewhere gets no users; empty when it does."""
    if not keeps:
        return "a demo leaves nothing on the broker"
    if broker.management_url is None:
        return "users need the management API (MANAGEMENT_URL may name it)"
    management = Management(broker.management_url, vhost_of(broker.amqp_url))
    try:
        users.check_administrator(management)
    except RefusedError as error:
        return str(error)
    for user in [rights.TOPOLOGY, *wanted]:
        if management.login(user) is not None and not users.has_password(
            management, user, logins.kept_password(folder, user) or ""
        ):
            return f"there is a user {user} already, whose password is not in {folder}"
    return ""
