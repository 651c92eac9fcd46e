"""What the requirements.txt files pin (`make pins` writes them)."""

import ast
import re
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [
        *(ROOT / "services").rglob("requirements.txt"),
        *(ROOT / "deploy").rglob("requirements.txt"),
        ROOT / "eventbus/requirements.txt",
        ROOT / "tests/requirements.txt",
    ]
)
PROJECTS = sorted((ROOT / "services").rglob("pyproject.toml"))


def pins(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_package_is_pinned_at_two_versions() -> None:
    versions = defaultdict(set)
    for file in FILES:
        for pin in pins(file):
            name, _, version = pin.partition("==")
            versions[normal(name)].add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_every_line_is_one_exact_version(file: Path) -> None:
    """No hosts, no hashes, no ranges: they install with any configuration of pip."""
    assert pins(file)
    assert [pin for pin in pins(file) if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin)] == []


@pytest.mark.parametrize("project", PROJECTS, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_every_dependency_of_a_service_is_pinned(project: Path) -> None:
    wanted = {
        normal(re.split(r"[^A-Za-z0-9._-]", dependency)[0])
        for dependency in tomllib.loads(project.read_text())["project"]["dependencies"]
    }
    pinned = {normal(pin.partition("==")[0]) for pin in pins(project.parent / "requirements.txt")}
    assert {name for name in wanted - pinned if not name.startswith("order-bus-")} == set()


def imported(folder: Path) -> set[str]:
    """Distributions, as installed here, of the modules that the folder's code imports."""
    distributions = packages_distributions()
    modules = {
        name.split(".")[0]
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    found = {normal(distribution) for module in modules for distribution in distributions.get(module, [])}
    return {name for name in found if not name.startswith("order-bus-")}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_what_a_service_imports_is_pinned_for_it(project: Path) -> None:
    """Its image holds nothing else."""
    pinned = {normal(pin.partition("==")[0]) for pin in pins(project.parent / "requirements.txt")}
    assert imported(project.parent / "src") - pinned == set()


@pytest.mark.parametrize("folder", ["eventbus", "services", "tests", "deploy"])
def test_what_tests_and_tools_import_is_pinned(folder: str) -> None:
    pinned = {normal(pin.partition("==")[0]) for file in FILES for pin in pins(file)}
    assert imported(ROOT / folder) - pinned == set()
