"""What the services say about their processes: `services/**/processes.conf`, found by wildcard.

Programs start by rising `priority`, each level when those of the level before are ready, and stop the other way
round. Beside supervisor's `[program:…]` a file has one section `[laptop]`:

    ports      VARIABLE:number …: the port that is preferred; another is taken if that one is in use
    env        NAME=value, one a line: for every process; what the caller's environment says wins
    ready      URLs that answer 200 when a program is ready: the one called x if it is written with ${X_PORT}
    show       lines for the one who started it
    only_with  program=VARIABLE, one a line: the program is started only where the caller sets the variable
    users      program=user, one a line: the program gets the AMQP_URL of that broker user, which has its own rights
               alone (`bus users show <user>`); a program without one gets no AMQP_URL

`${NAME}` is replaced by what the launcher and the sections before it have set.
"""

import configparser
import random
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from progress import StepError

PATTERNS = ("services/*/processes.conf", "services/*/*/processes.conf")
_USUAL_PRIORITY = 100
_PORTS = range(20000, 32000)  # below the ranges that systems take the ports of outgoing connections from


@dataclass(frozen=True)
class Program:
    name: str
    priority: int
    service: str
    environment: str = ""
    """What its section says itself, in supervisor's form."""


@dataclass(frozen=True)
class Readiness:
    """A URL that answers 200 when the program is ready."""

    program: str
    url: str
    priority: int
    """The program's, or the highest of the service's programs."""


@dataclass
class Services:
    """All files together, with the ports chosen and the variables replaced."""

    programs: list[Program] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    ready: list[Readiness] = field(default_factory=list)
    show: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What to tell: ports that were in use, folders that say nothing."""
    left_out: list[str] = field(default_factory=list)
    """Programs that nobody asked for."""
    users: dict[str, str] = field(default_factory=dict)
    """The broker user of each program that has one."""


def read_services(root: Path, given: Mapping[str, str], *, prefers_ports: bool = True) -> Services:
    """Reads all files below `root`.

    Args:
        given: the launcher's own variables and the caller's environment; they win over `env`.
        prefers_ports: whether the ports that the files name are taken where they are free. An instance that nobody
            looks for takes any: another one that starts at the same moment would want the same.

    Raises:
        StepError: there is none, or one cannot be read; with the file's name.
    """
    files = sorted(file for pattern in PATTERNS for file in root.glob(pattern))
    if not files:
        raise StepError(f"expected services/<name>/processes.conf below {root}, found none")
    services = Services()
    for folder in sorted(root.glob("services/*/")):
        if (folder / "pyproject.toml").exists() and not (folder / "processes.conf").exists():
            services.notes.append(f"{folder.relative_to(root)} has no processes.conf: nothing of it is started")
    sections = [(file, _parse(file, services)) for file in files]
    for file, laptop in sections:
        _leave_out(file, laptop, services, given)
        _read_users(file, laptop, services)
    for file, laptop in sections:  # every port first: a service may need to know another's
        _choose_ports(file, laptop, services, given, prefers_ports)
    for file, laptop in sections:
        _read_laptop(file, laptop, services, given)
    return services


def _parse(file: Path, services: Services) -> Mapping[str, str]:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # the way configparser documents
    try:
        parser.read_string(file.read_text(encoding="utf-8"), str(file))
        for section in parser.sections():
            kind, _, name = section.partition(":")
            if kind == "program":
                priority = parser.getint(section, "priority", fallback=_USUAL_PRIORITY)
                own = parser.get(section, "environment", fallback="")
                services.programs.append(Program(name, priority, file.parent.name, own))
    except (configparser.Error, ValueError, OSError) as error:
        raise StepError(f"{file}: {' '.join(str(error).split())}") from error
    return parser["laptop"] if parser.has_section("laptop") else {}


def _leave_out(file: Path, laptop: Mapping[str, str], services: Services, given: Mapping[str, str]) -> None:
    for line in _lines(laptop, "only_with"):
        name, _, variable = line.partition("=")
        known = [program for program in services.programs if program.name == name]
        if not (known and variable.isidentifier()):
            raise StepError(f"{file}: only_with: expected a program of this file and a variable, got: {line}")
        if not given.get(variable):
            services.programs.remove(known[0])
            services.left_out.append(name)


def _read_users(file: Path, laptop: Mapping[str, str], services: Services) -> None:
    known = {program.name for program in services.programs}
    for line in _lines(laptop, "users"):
        name, _, user = line.partition("=")
        if not user or name not in known | {*services.left_out}:
            raise StepError(f"{file}: users: expected a program of this file and a broker user, got: {line}")
        if name in known:
            services.users[name] = user


def _choose_ports(
    file: Path, laptop: Mapping[str, str], services: Services, given: Mapping[str, str], prefers: bool
) -> None:
    for line in laptop.get("ports", "").split():
        name, _, number = line.partition(":")
        wanted = given.get(name, number)
        if not (name.isidentifier() and wanted.isdecimal() and 0 < int(wanted) < 65536):
            raise StepError(f"{file}: ports: expected VARIABLE:number, got: {line} ({name}={wanted})")
        taken = set(services.environment.values())
        port = int(wanted)
        if not prefers and name not in given:
            port = free_port(taken)
        elif wanted in taken or not is_free(port):
            port = free_port(taken)
            services.notes.append(f"Port {wanted} is in use: {name} is {port}")
        services.environment[name] = str(port)


def _read_laptop(file: Path, laptop: Mapping[str, str], services: Services, given: Mapping[str, str]) -> None:
    def replaced(text: str) -> str:
        try:
            return Template(text).substitute({**given, **services.environment})
        except (KeyError, ValueError) as error:
            raise StepError(f"{file}: [laptop]: expected a variable that is set, got: {text} ({error})") from error

    for line in _lines(laptop, "env"):
        name, equals, value = line.partition("=")
        if not (name.isidentifier() and equals):
            raise StepError(f"{file}: env: expected NAME=value, got: {line}")
        services.environment[name] = given.get(name) or replaced(value)
    for text in laptop.get("ready", "").split():
        if any(f"${{{name.upper()}_PORT}}" in text for name in services.left_out):
            continue
        program = next((p for p in services.programs if f"${{{p.name.upper()}_PORT}}" in text), None)
        name = program.name if program else file.parent.name
        priorities = [p.priority for p in services.programs if p is program or (not program and p.service == name)]
        services.ready.append(Readiness(name, replaced(text), max(priorities, default=_USUAL_PRIORITY)))
    services.show += [replaced(line) for line in _lines(laptop, "show")]


def _lines(section: Mapping[str, str], key: str) -> list[str]:
    return [line.strip() for line in section.get(key, "").splitlines() if line.strip()]


def is_free(port: int) -> bool:
    """Whether this machine's loopback and all-interfaces addresses are both free at that port."""
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - only asked for
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port(taken: Collection[str] = ()) -> int:
    """A port that nothing listens at, and that is not in `taken`."""
    for port in random.sample(_PORTS, 1000):
        if str(port) not in taken and is_free(port):
            return port
    raise StepError(f"expected a free port between {_PORTS.start} and {_PORTS.stop}, found none")
