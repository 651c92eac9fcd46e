"""Writes every requirements.txt anew (`make pins`): each package that is needed, at one version throughout.

A service's file holds what its own pyproject.toml needs, with all that follows from it, so that a service can be
installed alone; the tests' and the launcher's come from the requirements.in beside them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]
HEADER = "# Written by `make pins`, from {source}.\n"


def main() -> None:
    eventbus = str(ROOT / "eventbus")
    wanted = {
        file.parent / "requirements.txt": [eventbus, str(file.parent)]
        for file in sorted((ROOT / "services").rglob("pyproject.toml"))
    }
    wanted[ROOT / "deploy/laptop/requirements.txt"] = [f"{eventbus}[operator]", "-r", _source("deploy/laptop")]
    wanted[ROOT / "deploy/images/requirements.txt"] = ["-r", _source("deploy/images")]
    wanted[ROOT / "eventbus/requirements.txt"] = [f"{eventbus}[operator]"]  # of the image of `bus`
    wanted[ROOT / "tests/requirements.txt"] = [f"{eventbus}[testing]", "-r", _source("tests")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as together:
        together.writelines(_resolve([word for words in wanted.values() for word in words]))
        together.flush()
        for file, words in wanted.items():
            pins = _resolve([*words, "-c", together.name])
            source = "requirements.in" if "-r" in words else "pyproject.toml"
            file.write_text(HEADER.format(source=source) + "".join(pins), encoding="utf-8")
            sys.stdout.write(f"{file.relative_to(ROOT)}: {len(pins)} packages\n")


def _source(folder: str) -> str:
    return str(ROOT / folder / "requirements.in")


def _resolve(words: list[str]) -> list[str]:
    """The pins, one a line, without this repository's own distributions."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-build-isolation"]
    command += ["--quiet", "--disable-pip-version-check", "--report", "-", *words]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = [entry["metadata"] for entry in report["install"]]
    pins = [f"{m['name']}=={m['version']}\n" for m in found if not m["name"].startswith("order-bus-")]
    return sorted(pins, key=str.lower)


if __name__ == "__main__":
    main()
