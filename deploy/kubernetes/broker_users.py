"""Writes each service's broker users for RabbitMQ's topology operator (`make broker-users`), from `eventbus.rights`.

Which users a service has, its `processes.conf` says (`users=`; those of a process under `only_with=` are left out).
They go to `deploy/kubernetes/<service>/base/broker-users.yaml`; those of nobody's service to the platform's.
"""

import configparser
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from eventbus import rights

ROOT = Path(__file__).absolute().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
VHOST = "order-bus"
CLUSTER = {"rabbitmqClusterReference": {"name": "rabbitmq"}}
PLATFORM_USERS = (rights.TOPOLOGY, rights.OPERATOR)
HEADER = "# Written by `make broker-users`, from eventbus/src/eventbus/rights.py.\n"


def main() -> None:
    for file, users in wanted().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text(users), encoding="utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)}: {', '.join(users)}\n")


def wanted() -> dict[Path, tuple[str, ...]]:
    """The users of each file."""
    files: dict[Path, tuple[str, ...]] = {KUBERNETES / "platform/base/broker-users.yaml": PLATFORM_USERS}
    for conf in sorted((ROOT / "services").glob("*/processes.conf")):
        if users := users_of(conf):
            files[KUBERNETES / folder_name(conf.parent.name) / "base/broker-users.yaml"] = users
    return files


def users_of(conf: Path) -> tuple[str, ...]:
    """The users of the processes in that `processes.conf`."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(conf, encoding="utf-8")
    laptop = parser["laptop"]
    users, optional = (_pairs(laptop.get(key, "")) for key in ("users", "only_with"))
    return tuple(dict.fromkeys(user for process, user in users.items() if process not in optional))


def folder_name(service: str) -> str:
    """Kubernetes takes no `_`."""
    return service.replace("_", "-")


def text(users: tuple[str, ...]) -> str:
    """What stands in the file of these users."""
    objects = [each for user in users for each in objects_of(user)]
    return HEADER + yaml.safe_dump_all(objects, sort_keys=False, width=120)


def objects_of(user: str) -> Iterator[dict[str, Any]]:
    """A `User` with a random name and password (Secret `<user>-user-credentials`), and what it may do."""
    may, name = rights.of(user), folder_name(user)
    yield _object("User", name, {"tags": list(may.tags)} if may.tags else {})
    permissions = {"configure": may.configure, "write": may.write, "read": may.read}
    whose = {"vhost": VHOST, "userReference": {"name": name}}
    yield _object("Permission", name, {**whose, "permissions": permissions})
    for topic in may.topic:
        on_topic = {"exchange": topic.exchange, "write": topic.write, "read": topic.read}
        yield _object(
            "TopicPermission", f"{name}-{topic.exchange.replace('.', '-')}", {**whose, "permissions": on_topic}
        )


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "rabbitmq.com/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": {**spec, **CLUSTER}}


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split())


if __name__ == "__main__":
    main()
