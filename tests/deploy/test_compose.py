"""compose.yaml joined with every services/*/compose.yaml: valid, and true to what the services need and say."""

import configparser
import copy
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from compose_spec import PyCompose
from eventbus.settings import substitute

from eventbus import rights

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "compose.yaml", *sorted(ROOT.glob("services/*/compose.yaml"))]
OF_THE_TOOL = {"AMQP_URL", "MANAGEMENT_URL"}
_SUBSTITUTED = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")
_DEMANDED = re.compile(r"\$\{([A-Z][A-Z0-9_]*):\?")

Services = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def joined() -> str:
    """All files as podman-compose joins them, each demanded variable set to its own name in small letters."""
    demanded = {name: name.lower() for file in FILES for name in _DEMANDED.findall(file.read_text())}
    profiles = {name for file in FILES for name in re.findall(r"profiles: \[(\w+)\]", file.read_text())}
    environment = {
        "PATH": os.environ["PATH"],
        "COMPOSE_FILE": ":".join(map(str, FILES)),
        "COMPOSE_PROFILES": ",".join(profiles),
        **demanded,
    }
    command = [str(Path(sys.executable).with_name("podman-compose")), "--dry-run", "config"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout


@pytest.fixture(scope="session")
def document(joined: str) -> dict[str, Any]:
    return dict(yaml.safe_load(joined))


@pytest.fixture
def services(document: dict[str, Any]) -> Services:
    return dict(copy.deepcopy(document["services"]))


def problems(services: Services) -> Iterator[str]:
    """Whatever does not fit, one line each."""
    for name, service in services.items():
        parts = (_order_problems, _reach_problems, _login_problems, _setting_problems, _run_problems)
        for part in parts:
            yield from (f"{name}: {problem}" for problem in part(name, service, services))
    yield from _gateway_problems(services)


def _order_problems(_name: str, service: dict[str, Any], services: Services) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        wanted = services.get(other, {})
        if not wanted:
            yield f"waits for {other}, which is not there"
        elif how["condition"] == "service_healthy" and "healthcheck" not in wanted:
            yield f"waits for the health of {other}, which has no health check"
        elif how["condition"] == "service_completed_successfully":
            yield f"waits for the end of {other}: podman can start nothing after a container that ended"


def _reach_problems(name: str, service: dict[str, Any], services: Services) -> Iterator[str]:
    image = str(service.get("image", ""))
    if not re.fullmatch(r"[a-z/-]+:(v?\d[\w.-]*|version)", image) or image.startswith("order-bus/") != (
        image.endswith(":version")
    ):
        yield f"image {image}: a version of ours, or an exact one"
    for port in map(str, service.get("ports", [])):
        if not port.startswith("127.0.0.1:"):
            yield f"port {port} is open to the network"
        if [other for other in services if port in services[other].get("ports", []) and other != name]:
            yield f"port {port} is taken twice"
    for volume in service.get("volumes", []):
        source = str(volume).partition(":")[0]
        if source.startswith(".") and not (ROOT / source).exists():
            yield f"mounts {source}, which is not there"
    for target in _values(service, "TARGET_"):
        host, _, number = target.partition(":")
        if host not in services:
            yield f"watches {target}, which is not there"
        elif number != (_port_of(services[host]) or number):
            yield f"watches {target}, whose port is another"


def _login_problems(_name: str, service: dict[str, Any], services: Services) -> Iterator[str]:
    for login in _values(service, "LOGIN_"):
        try:
            rights.of(login.partition(":")[0])
        except ValueError as error:
            yield f"login {login}: {error}"
    for variable, provider, kind in (
        ("AMQP_URL", "broker-setup", "LOGIN_"),
        ("DATABASE_URL", "database-setup", "DATABASE_"),
    ):
        if url := service.get("environment", {}).get(variable):
            parts = urlsplit(url)
            known = [*_values(services[provider], kind), "administrator:broker_password"]
            if f"{parts.username}:{parts.password}" not in known:
                yield f"{variable}: {provider} makes no {parts.username} with that password"
            if parts.hostname not in services:
                yield f"{variable}: there is no {parts.hostname}"
            if variable == "DATABASE_URL" and parts.path != f"/{parts.username}":
                yield f"{variable}: {parts.path} is another's"


def _setting_problems(name: str, service: dict[str, Any], _services: Services) -> Iterator[str]:
    folder = _folder_of(service)
    if folder is None:
        return
    known = {found for text in _settings_of(folder) for found in _SUBSTITUTED.findall(text)}
    known |= OF_THE_TOOL if folder.name == "eventbus" else set()
    given = {key for key in service.get("environment", {}) if not key.startswith("LOGIN_")}
    yield from (f"no setting of {folder.name} is called {key}" for key in sorted(given - known))
    if _port_of(service):
        ports = {substitute(match, {}) for text in _settings_of(folder) for match in re.findall(r"port: (\S+)", text)}
        if _port_of(service) not in ports:
            yield f"asks port {_port_of(service)} for its health, and listens on {', '.join(sorted(ports))}"
    programs = configparser.ConfigParser(interpolation=None)
    programs.read(folder / "processes.conf")
    module = " ".join([*service.get("entrypoint", ["python", "-m", folder.name])[1:], *service.get("command", [])])
    for section in programs.sections():
        seconds = programs.get(section, "stopwaitsecs", fallback="0")
        if programs.get(section, "command", fallback="") == f"python {module}" and _grace_s(service) < int(seconds):
            yield f"is killed {_grace_s(service)} s after SIGTERM; {section} may take {seconds}"


def _run_problems(_name: str, service: dict[str, Any], _services: Services) -> Iterator[str]:
    if not str(service.get("image")).startswith("order-bus/") or service.get("restart") != "unless-stopped":
        return
    if service.get("read_only") is not True or service.get("tmpfs") != ["/tmp"]:  # noqa: S108
        yield "its root file system is not read-only, or it has no /tmp"
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges" not in service.get("security_opt", []):
        yield "keeps capabilities, or may gain some"
    if "user" in service or service.get("privileged"):
        yield "runs as somebody else than its image says"


def _gateway_problems(services: Services) -> Iterator[str]:
    """What is published before a department has its queue, it does not get."""
    waited = services["gateway"]["depends_on"]
    for name, service in services.items():
        if _folder_of(service) and _port_of(service) and "profiles" not in service and name != "gateway":
            if name not in waited:
                yield f"gateway: does not wait for {name}"
            if name not in {target.partition(":")[0] for target in _values(services["prometheus"], "TARGET_")}:
                yield f"prometheus: does not watch {name}"


def _folder_of(service: dict[str, Any]) -> Path | None:
    """Where the Dockerfile of its image lies."""
    title = str(service.get("image")).partition(":")[0]
    for file in (ROOT / "eventbus/Dockerfile", *ROOT.glob("services/**/Dockerfile")):
        if f'image.title="{title}"' in file.read_text():
            return file.parent
    return None


def _settings_of(folder: Path) -> list[str]:
    files = [folder / "config.yaml", *(folder / "src").rglob("config.yaml")]
    return [file.read_text() for file in files if file.exists()]


def _values(service: dict[str, Any], prefix: str) -> list[str]:
    return [
        str(value)
        for key, value in service.get("environment", {}).items()
        if key.startswith(prefix) and not key.endswith("_URL")
    ]


def _port_of(service: dict[str, Any]) -> str:
    """The one that its health check asks, or none."""
    found = re.search(r"127\.0\.0\.1:(\d+)", " ".join(map(str, service.get("healthcheck", {}).get("test", []))))
    return found[1] if found else ""


def _grace_s(service: dict[str, Any]) -> int:
    return int(str(service.get("stop_grace_period", "10s")).removesuffix("s"))


def test_joined_files_are_valid(joined: str) -> None:
    PyCompose.from_yaml(joined).validate()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("read_only: true", "readonly: true"),
        ("interval: 15s", "interval: soon"),
        ("condition: service_healthy", "condition: fine"),
    ],
)
def test_files_that_no_engine_takes_are_refused(joined: str, old: str, new: str) -> None:
    assert old in joined
    with pytest.raises(ValueError, match=r".+"):
        PyCompose.from_yaml(joined.replace(old, new)).validate()


def test_services_fit_each_other_and_their_settings(services: Services) -> None:
    assert list(problems(services)) == []


def test_every_volume_is_declared_and_used(document: dict[str, Any]) -> None:
    lists = [service.get("volumes", []) for service in document["services"].values()]
    mounted = [str(volume).partition(":")[0] for volumes in lists for volume in volumes]
    assert {source for source in mounted if not source.startswith(".")} == set(document["volumes"])


GONE = object()


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("printer image", "order-bus/printer:latest", "a version of ours"),
        ("broker image", "rabbitmq", "an exact one"),
        ("printer depends_on topologies", {"condition": "service_healthy"}, "which is not there"),
        ("printer depends_on prometheus", {"condition": "service_healthy"}, "no health check"),
        ("printer depends_on broker-setup condition", "service_completed_successfully", "waits for the end"),
        ("marketing ports", ["8083:8083"], "open to the network"),
        ("marketing ports", ["127.0.0.1:8000:8000"], "taken twice"),
        ("broker-setup volumes", ["./deploy/compose/setup:/setup"], "not there"),
        ("prometheus environment TARGET_PRINTER", "printer:8085", "port is another"),
        ("prometheus environment TARGET_PRINTER", GONE, "does not watch printer"),
        ("broker-setup environment LOGIN_PRINTER", "printer:other", "broker-setup makes no printer"),
        ("broker-setup environment LOGIN_PRINTER", "Printer-1:x", "login Printer-1"),
        ("database-setup environment DATABASE_PRINTER", GONE, "database-setup makes no printer"),
        ("printer environment DATABASE_URL", "postgresql://printer:printer_password@database/orders", "another's"),
        ("printer environment AMQP_URL", "amqp://printer:printer_password@rabbit/", "there is no rabbit"),
        ("printer environment PRINTER_URL", "file:///slips", "no setting of printer is called PRINTER_URL"),
        ("printer healthcheck test", ["CMD", "python", "http://127.0.0.1:8083/readyz"], "asks port 8083"),
        ("sap-bridge stop_grace_period", "60s", "is killed 60 s after SIGTERM"),
        ("relay stop_grace_period", GONE, "is killed 10 s after SIGTERM"),
        ("printer read_only", GONE, "not read-only"),
        ("printer cap_drop", GONE, "keeps capabilities"),
        ("printer user", "0:0", "somebody else"),
        ("gateway depends_on printer", GONE, "does not wait for printer"),
    ],
)
def test_seeded_mistake_is_found(services: Services, path: str, value: Any, found: str) -> None:
    *parents, key = path.split()
    node: Any = services
    for parent in parents:
        node = node[parent]
    if value is GONE:
        del node[key]
    else:
        node[key] = value
    assert [problem for problem in problems(services) if found in problem]


def test_every_password_is_one_that_make_up_makes() -> None:
    """None has a default: a password that is known is none. The sandbox's is its settings' own."""
    for file in FILES:
        for name in _SUBSTITUTED.findall(file.read_text()):
            if name.endswith("_PASSWORD") and name != "SAP_PASSWORD":
                assert f"${{{name}:-" not in file.read_text(), f"{file}: {name}"
