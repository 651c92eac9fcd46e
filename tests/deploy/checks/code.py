"""C6: what the manifests say of a process is what its code does: settings, ports, paths, drain, queue, login."""

import configparser
import functools
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import yaml
from eventbus.settings import SettingsError, load

from .manifests import ROOT, Finding, Manifests, Object, label, pod_of
from .ports import PROBES, opened_by

SETTINGS = {
    "orders gateway": "orders.settings:GatewaySettings",
    "orders relay": "orders.relay.settings:RelaySettings",
    "orders tracker": "orders.tracker:TrackerSettings",
}
"""Of processes that are no department's; a department's are its service class's."""
OF_ALL = {"LOG_FORMAT", "LOG_LEVEL"}
CLOSE_S = {"orders relay": 2.0}
DRAIN_MARGIN_S = 3.0
LAPTOP = re.compile(r"127\.0\.0\.1|guest|var/data|sandbox")
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")
_WHOLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::(.*))?\}", re.DOTALL)
_TITLE = re.compile(r'image\.title="order-bus/([^"]+)"')
_ENTRYPOINT = re.compile(r"^ENTRYPOINT (\[.*\])", re.MULTILINE)


@dataclass(frozen=True)
class Process:
    """What a container runs, and where its code is."""

    command: str
    """Package and arguments: `orders gateway`."""
    service: Path

    @property
    def package(self) -> str:
        return self.command.split()[0]

    @property
    def config(self) -> Path:
        return self.service / "config.yaml"


def check(manifests: Manifests) -> Iterator[Finding]:
    """Each process of ours against its source."""
    for workload in manifests.ours():
        container = pod_of(workload)["containers"][0]
        process = process_of(container)
        where = label(workload)
        if process is None:
            yield Finding("C6 command", where, f"no image {container['image']}")
            continue
        environ = manifests.environment_of(container)
        yield from (Finding("C6 environment", where, what) for what in _names(process, container, environ))
        yield from (Finding("C6 path", where, what) for what in _paths(process, container))
        yield from (Finding("C6 login", where, what) for what in _login(process, container))
        try:
            settings = load(settings_class(process), process.config, _with_files(environ))
        except SettingsError as error:
            yield Finding("C6 settings", where, str(error))
            continue
        yield from (Finding("C6 settings", where, what) for what in _settings(settings, workload))
        yield from (Finding("C6 drain", where, what) for what in _drain(process, settings, workload))
        yield from _queue(manifests, workload, settings)
    for route in manifests.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for match in rule.get("matches", [{"path": {"value": "/"}}]):
                if match["path"]["value"] not in _literals(ROOT / "services/orders/src"):
                    yield Finding("C6 path", label(route), f"the gateway has no {match['path']['value']}")


@functools.cache
def _images() -> dict[str, tuple[Path, str]]:
    """Folder and module of each image's Dockerfile."""
    found = {}
    for file in ROOT.glob("services/**/Dockerfile"):
        text = file.read_text(encoding="utf-8")
        title, entrypoint = _TITLE.search(text), _ENTRYPOINT.search(text)
        if title and entrypoint:
            found[title[1]] = (file.parent, json.loads(entrypoint[1])[-1])
    return found


def process_of(container: Object) -> Process | None:
    """What the container runs, by its image's Dockerfile and its arguments."""
    name = container["image"].rpartition("/")[2].partition("@")[0].partition(":")[0]
    if name not in _images():
        return None
    folder, module = _images()[name]
    return Process(" ".join([module, *container.get("args", [])]), folder)


def settings_class(process: Process) -> Any:
    """The class that reads its `config.yaml`."""
    if named := SETTINGS.get(process.command):
        module, _, name = named.partition(":")
        return getattr(importlib.import_module(module), name)
    service = importlib.import_module(f"{process.package}.service")
    classes = [each for each in vars(service).values() if isinstance(each, type) and hasattr(each, "settings_class")]
    return classes[0].settings_class


def _names(process: Process, container: Object, environ: dict[str, str]) -> Iterator[str]:
    """Variables that nobody reads, and those that are set on a laptop alone."""
    text = process.config.read_text(encoding="utf-8")
    read = set(_VARIABLE.findall(text)) | OF_ALL
    read |= {f"{name}_FILE" for name in read}
    read |= {name for entry in container.get("env", []) for name in re.findall(r"\$\((\w+)\)", entry.get("value", ""))}
    for name in sorted(set(environ) - read):
        yield f"{name} is set, and {process.config.relative_to(ROOT)} does not read it"
    document = yaml.safe_load(text)
    others = {"gateway", "relay", "tracker"} - set(process.command.split())
    unused = {"AMQP_URL"} if process.command == "orders gateway" else set()  # it speaks to no broker
    for value in _strings({key: value for key, value in document.items() if key not in others}):
        match = _WHOLE.fullmatch(value)
        if match and match[1] not in {*environ, *unused} and (match[2] is None or LAPTOP.search(match[2])):
            yield f"{match[1]} is not set, and its default is a laptop's: {match[2]}"


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, str):
        yield node


def _with_files(environ: dict[str, str]) -> dict[str, str]:
    """With a certificate wherever one will be mounted."""
    return {k: certifi.where() if v.startswith("/etc/order-bus/") else v for k, v in environ.items()}


def _settings(settings: Any, workload: Object) -> Iterator[str]:
    host = getattr(settings, "health_host", getattr(settings, "host", None))
    port = getattr(settings, "health_port", getattr(settings, "port", None))
    if host != "0.0.0.0":  # noqa: S104 - in a pod
        yield f"listens on {host}, where no probe comes"
    if port not in opened_by(workload):
        yield f"listens on {port}, its container opens {sorted(opened_by(workload), key=str)}"
    if "sslmode=verify-full" not in settings.database_url:
        yield "does not look who the database is"
    for url in getattr(settings, "amqp_url", ()):
        if not url.startswith("amqps://"):
            yield "speaks to the broker without TLS"


def _drain(process: Process, settings: Any, workload: Object) -> Iterator[str]:
    pod = pod_of(workload)
    handler = pod["containers"][0].get("lifecycle", {}).get("preStop", {})
    pre_stop_s = handler.get("sleep", {}).get("seconds", 0)
    margin_s = CLOSE_S.get(process.command, DRAIN_MARGIN_S)
    parts_s = (pre_stop_s, getattr(settings, "unready_s", 0), settings.drain_s, margin_s)
    grace_s = pod.get("terminationGracePeriodSeconds", 30)
    if sum(parts_s) > grace_s:
        yield f"is killed {grace_s} s after it is told to go, and may take {' + '.join(f'{s:g}' for s in parts_s)} s"
    if process.command == "orders gateway" and not (pre_stop_s >= 5 and settings.unready_s > 0):
        yield "closes its socket before everybody has heard that it goes"


def _paths(process: Process, container: Object) -> Iterator[str]:
    known = _literals(process.service / "src") | _literals(ROOT / "eventbus/src/eventbus/department")
    for probe in PROBES:
        path = container.get(probe, {}).get("httpGet", {}).get("path")
        if path is not None and path not in known:
            yield f"{probe} asks for {path}, which its code does not have"


@functools.cache
def _literals(folder: Path) -> frozenset[str]:
    """Texts in the code that are paths."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    return frozenset(re.findall(r'"(/[a-z]+)"', text))


def _login(process: Process, container: Object) -> Iterator[str]:
    """The broker user that `processes.conf` names for this process, whose rights it needs; the gateway has none."""
    wanted = _users(process.service / "processes.conf").get(process.command)
    secrets = {
        entry["valueFrom"]["secretKeyRef"]["name"]
        for entry in container.get("env", [])
        if entry["name"].startswith("AMQP_") and "valueFrom" in entry
    }
    if secrets != ({f"{wanted.replace('_', '-')}-user-credentials"} if wanted else set()):
        yield f"logs in to the broker by {sorted(secrets)}, its user is {wanted}"


def _users(conf: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(conf, encoding="utf-8")
    users = dict(pair.split("=", 1) for pair in parser["laptop"].get("users", "").split())
    commands = {name: parser[f"program:{name}"]["command"].removeprefix("python -m ") for name in users}
    return {commands[name]: user for name, user in users.items()}


def _queue(manifests: Manifests, workload: Object, settings: Any) -> Iterator[Finding]:
    for scaler in manifests.of("ScaledObject"):
        if scaler["spec"]["scaleTargetRef"]["name"] == workload["metadata"]["name"]:
            for trigger in scaler["spec"]["triggers"]:
                if (queue := trigger["metadata"].get("queueName")) != settings.department:
                    yield Finding("C6 queue", label(scaler), f"counts {queue}, the queue is {settings.department}")
