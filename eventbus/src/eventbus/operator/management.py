"""RabbitMQ's management HTTP API: what AMQP cannot ask."""

import os
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests

from eventbus.operator.errors import UnreachableError
from eventbus.settings import redacted

CONNECT_S = 3.05
READ_S = 30


class Management:
    """A client of one virtual host.

    Args:
        url: `http://user:password@host:15672`, of a user with the tag `monitoring`; what is about users and virtual
            hosts needs `administrator`.
        vhost: name of the virtual host.

    An `https` host's certificate is checked against the file that `AMQP_CA` of the environment names; without it,
    against the CAs that requests brings.

    Every method raises `UnreachableError` when the API does not answer or refuses.
    """

    def __init__(self, url: str, vhost: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UnreachableError(f"MANAGEMENT_URL: expected http(s)://user:password@host:port, got {redacted(url)!r}")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = f":{parts.port}" if parts.port else ""
        self.base = urlunsplit((parts.scheme, host + port, parts.path.rstrip("/"), "", ""))
        self.vhost = vhost
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or a netrc of the environment is not meant for the broker
        self._session.verify = os.environ.get("AMQP_CA") or True
        self._session.auth = (unquote(parts.username or "guest"), unquote(parts.password or "guest"))

    def queues(self) -> list[dict[str, Any]]:
        """Every queue of the virtual host; counts are up to five seconds old."""
        return cast(list[dict[str, Any]], self._json("GET", f"queues/{self._vhost}"))

    def queue(self, name: str) -> dict[str, Any] | None:
        """That queue, or None when there is none."""
        return cast(dict[str, Any] | None, self._json("GET", f"queues/{self._vhost}/{_quoted(name)}", missing=None))

    def connections(self) -> list[dict[str, Any]]:
        """Every open connection of the virtual host; a new one is listed some seconds late."""
        return cast(list[dict[str, Any]], self._json("GET", f"vhosts/{self._vhost}/connections"))

    def exchanges(self) -> list[dict[str, Any]]:
        """Every exchange of the virtual host, RabbitMQ's own included."""
        return cast(list[dict[str, Any]], self._json("GET", f"exchanges/{self._vhost}"))

    def bindings(self) -> list[dict[str, Any]]:
        """Every binding of the virtual host, those of the default exchange included."""
        return cast(list[dict[str, Any]], self._json("GET", f"bindings/{self._vhost}"))

    def version(self) -> tuple[int, ...]:
        """The broker's version, `(3, 10, 8)`."""
        version = str(self._json("GET", "overview")["rabbitmq_version"])
        return tuple(int(part) for part in version.split("-")[0].split("+")[0].split(".") if part.isdigit())

    def create_vhost(self, user: str) -> None:
        """Make the virtual host, with all rights for that user."""
        self._json("PUT", f"vhosts/{self._vhost}", body={"default_queue_type": "quorum"})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._json("PUT", f"permissions/{self._vhost}/{_quoted(user)}", body=everything)

    def delete_vhost(self) -> None:
        """Remove the virtual host with everything in it."""
        self._json("DELETE", f"vhosts/{self._vhost}", missing=None)

    def tags(self) -> list[str]:
        """The tags of this client's own user. Before 3.9 they came as one string."""
        found = self._json("GET", "whoami")["tags"]
        return found.split(",") if isinstance(found, str) else list(found)

    def login(self, name: str) -> dict[str, Any] | None:
        """That user with its tags and the hash of its password, or None."""
        return cast(dict[str, Any] | None, self._json("GET", f"users/{_quoted(name)}", missing=None))

    def put_login(self, name: str, properties: Mapping[str, Any]) -> None:
        """Make or change that user: `tags`, and `password` or `password_hash` with `hashing_algorithm`."""
        self._json("PUT", f"users/{_quoted(name)}", body=properties)

    def delete_login(self, name: str) -> None:
        """Remove that user, with its rights in every virtual host."""
        self._json("DELETE", f"users/{_quoted(name)}", missing=None)

    def permissions(self, user: str) -> list[dict[str, str]]:
        """What that user may, in every virtual host."""
        return cast(list[dict[str, str]], self._json("GET", f"users/{_quoted(user)}/permissions", missing=[]))

    def put_permissions(self, user: str, patterns: Mapping[str, str]) -> None:
        """Set `configure`, `write` and `read` here."""
        self._json("PUT", f"permissions/{self._vhost}/{_quoted(user)}", body=patterns)

    def delete_permissions(self, user: str) -> None:
        """Take all rights here."""
        self._json("DELETE", f"permissions/{self._vhost}/{_quoted(user)}", missing=None)

    def topic_permissions(self, user: str) -> list[dict[str, str]]:
        """What that user may on topic exchanges, in every virtual host."""
        return cast(list[dict[str, str]], self._json("GET", f"users/{_quoted(user)}/topic-permissions", missing=[]))

    def put_topic_permissions(self, user: str, patterns: Mapping[str, str]) -> None:
        """Set `write` and `read` on the `exchange` here."""
        self._json("PUT", f"topic-permissions/{self._vhost}/{_quoted(user)}", body=patterns)

    def delete_topic_permissions(self, user: str) -> None:
        """Take all rows here. What the user may write and read without rows, it may by any key."""
        self._json("DELETE", f"topic-permissions/{self._vhost}/{_quoted(user)}", missing=None)

    @property
    def user(self) -> str:
        """As whom this client asks."""
        return str(cast(tuple[str, str], self._session.auth)[0])

    @property
    def _vhost(self) -> str:
        return _quoted(self.vhost)

    def _json(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, missing: Any = ...) -> Any:
        try:
            response = self._session.request(
                method, f"{self.base}/api/{path}", json=body, timeout=(CONNECT_S, READ_S), allow_redirects=False
            )
        except (requests.RequestException, OSError) as error:  # an AMQP_CA that is no file is an OSError
            raise UnreachableError(f"management API at {self.base} does not answer: {type(error).__name__}") from error
        if response.status_code == 404 and missing is not ...:
            return missing
        if response.status_code == 401:
            raise UnreachableError(f"management API at {self.base} refuses the login of {self.user!r}")
        if not response.ok:
            raise UnreachableError(f"management API at {self.base}: {method} {path}: HTTP {response.status_code}")
        return response.json() if response.content else None


def _quoted(name: str) -> str:
    return quote(name, safe="")
