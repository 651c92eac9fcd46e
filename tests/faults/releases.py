"""The version before beside this one: its sources, its settings, and programs that change from one to the other."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .program import Program

ROOT = Path(__file__).parents[2]
COMMIT = "PREVIOUS"
"""Environment variable: the version before, where it is neither the last tag nor the last commit but one."""


class Release:
    """A version of all services.

    Args:
        root: of its sources.
        interpreter: a Python with what it requires.
    """

    def __init__(self, root: Path, interpreter: str = sys.executable) -> None:
        self.root = root
        self.interpreter = interpreter

    @property
    def environ(self) -> dict[str, str]:
        """With its sources before those that are installed."""
        return {"PYTHONPATH": os.pathsep.join(map(str, self._sources()))}

    def take_over(self, program: Program, service: str) -> None:
        """The program is of this version from its next start on, with those of its settings that this one knows."""
        config = yaml.safe_load((self.root / "services" / service / "config.yaml").read_text())
        wanted = yaml.safe_load(program.config_file.read_text())
        program.config_file.write_text(yaml.safe_dump(_known(config, wanted)))
        program.use(self.environ, self.interpreter)

    def run(self, code: str, *arguments: str) -> str:
        """What that code prints, with this version's packages."""
        command = [self.interpreter, "-P", "-c", code, *arguments]
        environ = {**os.environ, **self.environ}
        return subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=600).stdout

    def _sources(self) -> Iterable[Path]:
        return [self.root / "eventbus" / "src", *sorted(self.root.glob("services/*/src"))]


def this_release() -> Release:
    """The sources of this work tree."""
    return Release(ROOT)


def previous_commit() -> str:
    """The last tag before this commit; without any, the commit before (of a merge: what it was merged into)."""
    if named := os.environ.get(COMMIT):
        return named
    tags = _git("tag", "--merged", "HEAD^", "--sort=-creatordate").split()
    return tags[0] if tags else _git("rev-parse", "HEAD^").strip()


def previous_release(folder: Path) -> Release:
    """The version before, its sources in that folder; with its own packages where it requires others than this one."""
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", previous_commit(), "eventbus", "services"], check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    if _requirements(folder) == _requirements(ROOT):
        return Release(folder)
    own = folder / "venv"
    venv.create(own, with_pip=True)
    files = [str(file) for file in sorted(folder.glob("services/*/requirements.txt"))]
    listed = [argument for file in files for argument in ("-r", file)]
    subprocess.run([own / "bin" / "pip", "install", "--quiet", *listed], check=True, timeout=900)
    return Release(folder, str(own / "bin" / "python"))


def _requirements(root: Path) -> dict[str, str]:
    return {str(f.relative_to(root)): f.read_text() for f in sorted(root.glob("services/*/requirements.txt"))}


def _known(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `wanted` for keys that `config` has; the rest as it is there."""
    merged: dict[str, Any] = {}
    for key, shipped in config.items():
        value = wanted.get(key, shipped)
        merged[key] = _known(shipped, value) if isinstance(shipped, Mapping) and isinstance(value, Mapping) else value
    return merged


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout
