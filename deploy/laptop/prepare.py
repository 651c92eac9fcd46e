"""Prepares what `make run` or `make test` needs: Debian packages where they are missing, and `var/venv`.

`bench` is `test` and a load generator, `python` is the environment of `test` alone, `clean` removes `var/`.

The second time it takes a moment: a stamp in the environment holds the digest of what it was made from.
Standard library only, this runs before there is an environment.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import packages
from progress import StepError, run, say

ROOT = Path(__file__).absolute().parents[2]
VENV = ROOT / "var" / "venv"
PYTHON = VENV / "bin" / "python"
LOGS = ROOT / "var" / "log"


def main() -> int:
    purpose = sys.argv[1] if len(sys.argv) == 2 else ""
    if purpose not in ("run", "test", "bench", "python", "clean"):
        say("usage: prepare run|test|bench|python|clean")
        return 2
    try:
        if purpose == "clean":
            clean()
            return 0
        if missing := packages.needed(purpose):
            wanted = [program.package for program in missing]
            packages.install(wanted, LOGS / "apt.log", packages.way_out(purpose))
        prepare_environment("run" if purpose == "run" else "test")
    except StepError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def clean() -> None:
    """Removes `var/`, if nothing runs from there."""
    for lock in (ROOT / "var").glob("*/lock"):
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StepError(f"Something runs in {lock.parent}: stop it first") from error
    if (ROOT / "var").exists():
        shutil.rmtree(ROOT / "var")


def prepare_environment(purpose: str) -> None:
    """Makes `var/venv`, or brings it up to date: the pinned packages, and this repository's own in place."""
    if not _works(PYTHON):
        _create()
    own = [file.parent for file in sorted((ROOT / "services").rglob("pyproject.toml"))]
    own.insert(0, ROOT / "eventbus")
    for_run = [*sorted((ROOT / "services").rglob("requirements.txt")), ROOT / "deploy/laptop/requirements.txt"]
    for_test = [*for_run, ROOT / "tests/requirements.txt"]
    wanted = {"run": _digest([*for_run, *own]), "test": _digest([*for_test, *own])}
    if _stamp(purpose).exists() and _stamp(purpose).read_text() == wanted[purpose]:
        return
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    pins = [word for file in (for_run if purpose == "run" else for_test) for word in ("-r", str(file))]
    run("Installing the Python packages", [*pip, *pins], LOGS / "pip.log", sign_of_life=_pip_sign)
    editable = [word for project in own for word in ("-e", str(project))]
    in_place = [*pip, "--no-deps", "--no-build-isolation", *editable]
    run("Installing this project's own, in place", in_place, LOGS / "pip-own.log", sign_of_life=_pip_sign)
    for done in {"run", purpose}:
        _stamp(done).write_text(wanted[done])


def _stamp(purpose: str) -> Path:
    return VENV / f"prepared-for-{purpose}"


def _digest(sources: list[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        file = source / "pyproject.toml" if source.is_dir() else source
        digest.update(f"\n{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _works(python: Path) -> bool:
    """Whether the environment was made here (the folder may have been moved), runs, and is of the Python asked for."""
    code = "import pip, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        made_here = str(VENV) in (VENV / "bin" / "pip").read_text(encoding="utf-8")
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return False
    wanted = "{}.{}".format(*sys.version_info) if os.environ.get("PYTHON") else answer
    return made_here and answer == wanted != ""


def _create() -> None:
    say(f"Making a Python {sys.version_info.major}.{sys.version_info.minor} environment in var/venv …")
    if importlib.util.find_spec("ensurepip") is None:  # Debian and Ubuntu leave it out of python3
        packages.install([f"python{sys.version_info.major}.{sys.version_info.minor}-venv"], LOGS / "apt-venv.log")
        importlib.invalidate_caches()
    try:
        venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(VENV)
    except (OSError, subprocess.CalledProcessError) as error:
        raise StepError(f"var/venv could not be made with {sys.executable}: {error}") from error


def _pip_sign(line: str) -> str | None:
    """Lines that tell of progress; what is left may tell of a failure."""
    return line if line.startswith(("Collecting", "Downloading", "Using cached", "Installing", "Building")) else None


if __name__ == "__main__":
    sys.exit(main())
