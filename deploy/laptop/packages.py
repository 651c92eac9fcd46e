"""Programs that are not Python's: found where they may lie, else installed with apt. Standard library only."""

import ctypes.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from progress import StepError, run, say

_HOMEBREW = ("/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew")
_POLICY = Path("/usr/sbin/policy-rc.d")
_OS_RELEASE = Path("/etc/os-release")


@dataclass(frozen=True)
class Program:
    """One program that has to be there, and Debian's package that brings it."""

    name: str
    package: str
    places: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Programs of other names that do as well."""
    variable: str = ""
    """An environment variable that names the program."""

    def is_there(self) -> bool:
        if os.environ.get(self.variable):
            return True
        return any(self._is_there(name) for name in (self.name, *self.others))

    def _is_there(self, name: str) -> bool:
        found = shutil.which(name)
        if found and not found.startswith("/snap/"):
            return True
        folders = [*self.places, "/usr/sbin", "/sbin", *(f"{p}/{d}" for p in _HOMEBREW for d in ("bin", "sbin"))]
        return any(os.access(found, os.X_OK) for d in folders for found in Path("/").glob(f"{d.strip('/')}/{name}"))


class Library(Program):
    """A shared library that a Python package's own program needs. Linux only; elsewhere the package brings it."""

    def is_there(self) -> bool:
        return sys.platform != "linux" or ctypes.util.find_library(self.name) is not None


BROWSER = Program(
    "chromium",
    "chromium",
    ("/Applications/Google Chrome.app/Contents/MacOS", "/Applications/Chromium.app/Contents/MacOS"),
    ("google-chrome", "Google Chrome", "Chromium"),
    variable="CHROMIUM",
)
BROKER = Program("rabbitmq-server", "rabbitmq-server", ("/usr/lib/rabbitmq/bin",))
FOR_TESTS = (
    Program("pg_ctl", "postgresql", ("/usr/lib/postgresql/*/bin",)),
    Program("ippeveprinter", "cups-ipp-utils"),
    Program("cupsd", "cups-daemon"),
    Program("lpadmin", "cups-client"),
    Program("dbus-daemon", "dbus"),
    Program("pdftotext", "poppler-utils"),
    Program("zbarimg", "zbar-tools"),
    Program("openssl", "openssl"),
    Program("promtool", "prometheus"),
    Program("node", "nodejs"),
    Program("npm", "npm"),
    BROWSER,
    Library("atomic", "libatomic1"),  # playwright's node; a bare Debian has none
)
FOR_BENCH = (*FOR_TESTS, Program("wrk", "wrk"))


def needed(purpose: str) -> list[Program]:
    """What is needed and not there. A broker that `AMQP_URL` or `RABBITMQ_SERVER` names replaces the installed one."""
    if purpose == "python":
        return []
    programs = {"test": FOR_TESTS, "bench": FOR_BENCH}.get(purpose, ())
    broker = [] if os.environ.get("RABBITMQ_SERVER") or (purpose == "run" and os.environ.get("AMQP_URL")) else [BROKER]
    return [program for program in (*broker, *programs) if not program.is_there()]


def way_out(purpose: str) -> str:
    """What to do for a broker without the right to install one."""
    if purpose == "run":
        return "or AMQP_URL=amqp://… to use a RabbitMQ that runs elsewhere"
    return "RABBITMQ_SERVER=/path/to/rabbitmq-server names one that lies elsewhere"


def install(packages: list[str], log: Path, way_out: str = "") -> None:
    """Installs Debian packages, after saying so. No service that they bring is started, now or at the next boot.

    Args:
        way_out: what to say beside the missing packages if they cannot be installed.

    Raises:
        StepError: there is no apt, no right to install, or the installation failed.
    """
    rights = _rights(packages, way_out)
    say(f"Installing with apt-get: {' '.join(packages)} (their services are not started)")
    services_before = _enabled_services()
    placed_policy = _forbid_starting(rights)
    try:
        apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q"]
        apt += ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
        run("Reading the package lists", [*apt, "update"], log.with_suffix(".lists.log"), sign_of_life=_apt_sign)
        run("Installing", [*apt, "install", "--no-install-recommends", *packages], log, sign_of_life=_apt_sign)
    finally:
        if placed_policy:
            subprocess.run([*rights, "rm", "-f", str(_POLICY)], check=True)
    if new := sorted(_enabled_services() - services_before):
        subprocess.run([*rights, "systemctl", "disable", "--quiet", *new], check=False)
        say(f"  not started at boot: {' '.join(new)}")


def _rights(packages: list[str], way_out: str) -> list[str]:
    """The prefix that makes a command the administrator's."""
    if BROWSER.package in packages and _has_chromium_as_a_snap_only():
        # a snap sees a /tmp of its own: what it downloads is not where the tests look for it
        raise StepError(
            "Missing: a Chromium that is no snap, and Ubuntu's is one. Install Google Chrome,"
            " or CHROMIUM=/path/to/chromium names one that lies elsewhere"
        )
    command = f"apt-get install {' '.join(packages)}"
    way_out = f"; {way_out}" if way_out and BROKER.package in packages else ""
    if not shutil.which("apt-get"):
        brew = " (macOS: brew install rabbitmq)" if BROKER.package in packages else ""
        raise StepError(f"Missing: {', '.join(packages)}, to be installed by hand{brew}{way_out}")
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _sudo_works():
        return ["sudo"]
    raise StepError(f"Missing: {', '.join(packages)}. An administrator installs it by: {command}{way_out}")


def _has_chromium_as_a_snap_only() -> bool:
    return _OS_RELEASE.exists() and "ID=ubuntu" in _OS_RELEASE.read_text(encoding="utf-8").splitlines()


def _sudo_works() -> bool:
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return True
    if not sys.stdin.isatty():
        return False
    say("Packages are to be installed; sudo may ask for your password.")
    return subprocess.run(["sudo", "-v"], check=False).returncode == 0


def _forbid_starting(rights: list[str]) -> bool:
    """Debian asks this file before it starts a service (invoke-rc.d(8)); 101 is "forbidden". False: there is one."""
    if _POLICY.exists():
        return False
    script = f"printf '#!/bin/sh\\nexit 101\\n' >{_POLICY} && chmod 755 {_POLICY}"
    subprocess.run([*rights, "sh", "-c", script], check=True)
    return True


def _enabled_services() -> set[str]:
    if not shutil.which("systemctl"):
        return set()
    command = ["systemctl", "list-unit-files", "--no-legend", "--state=enabled", "--type=service,socket"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


def _apt_sign(line: str) -> str | None:
    return line if line.startswith(("Get:", "Hit:", "Selecting", "Preparing", "Unpacking", "Setting up")) else None
