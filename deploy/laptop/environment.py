"""The environment of an instance's processes, and the file that holds it for a shell."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from progress import StepError

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")


def callers_environment() -> dict[str, str]:
    """This process's environment, without what an instance's `env` file put there.

    So a shell in which `. var/run/env` was said can still start another instance.
    """
    environment = dict(os.environ)
    if folder := environment.get("INSTANCE_DIR"):
        path = Path(folder) / "env"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            name, equals, value = line.partition("=")
            if equals and environment.get(name) == "".join(shlex.split(value)) and name != "PATH":
                del environment[name]
        environment.pop("INSTANCE_DIR", None)
        environment.pop("DATA_DIR", None)
    return environment


def own_variables(instance: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What the launcher itself sets for every process; the environment's own programs come first on the PATH."""
    programs = str(Path(sys.executable).absolute().parent)
    path = [entry for entry in environment.get("PATH", os.defpath).split(os.pathsep) if entry != programs]
    return {
        "INSTANCE_DIR": str(instance),
        "DATA_DIR": str(instance / "data"),
        "PATH": os.pathsep.join([programs, *path]),
    }


def variables_of_settings(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Those of the caller's variables that a config.yaml names: a process started alone needs them as well."""
    texts = [file.read_text(encoding="utf-8") for file in (root / "services").rglob("config.yaml")]
    names = {name for text in texts for name in _VARIABLE.findall(text)}
    return {name: environment[name] for name in sorted(names) if environment.get(name)}


def check_databases(root: Path, environment: Mapping[str, str]) -> None:
    """Raises StepError when the caller's `DATABASE_URL` would be that of several services."""
    files = sorted((root / "services").glob("*/config.yaml"))
    owners = [file.parent.name for file in files if "${DATABASE_URL" in file.read_text(encoding="utf-8")]
    if environment.get("DATABASE_URL") and len(owners) > 1:
        raise StepError(
            f"DATABASE_URL is set: {', '.join(owners)} would share one database. "
            "Unset it, each has its own under var/run/data"
        )


def write_environment(file: Path, variables: Mapping[str, str]) -> None:
    """`NAME='value'`, one a line, and a last line that exports them all; readable by the owner alone."""
    lines = [f"{name}='{value.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'" for name, value in variables.items()]
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text("\n".join([*lines, f"export {' '.join(variables)}", ""]), encoding="utf-8")
    new.replace(file)  # whoever waits for the file finds it whole
