"""What a program can check of how the project is kept."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES_MAX = 400
FUNCTION_LINES_MAX = 70
BANNED_NAMES = {"utils", "util", "common", "base", "helpers", "helper", "misc"}
TOP_LEVEL = {
    ".ci", ".dockerignore", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
    "compose.yaml", "deploy", "docs", "eventbus", "pyproject.toml", "services", "tests",
}  # fmt: skip
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml"))
BROKER_WORDS = re.compile(r"\b(pika|amqp|kombu|basic_\w+|delivery_tag|exchange|routing_key|queue_declare)\b")


def tracked(pattern: str = "*") -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", pattern], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


PYTHON = tracked("*.py")
SOURCES = [path for path in PYTHON if "src" in path.parts]


def imported(path: Path) -> set[str]:
    """Every module that the file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_top_level_stays_small() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_files_are_one_idea() -> None:
    assert not [named(path) for path in PYTHON if len(path.read_text().splitlines()) > LINES_MAX]


def test_functions_fit_a_screen() -> None:
    long = [
        f"{named(path)}: {node.name}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert not long


def test_names_say_what_a_file_is_about() -> None:
    assert not [named(path) for path in PYTHON if path.stem.lstrip("_") in BANNED_NAMES]


def test_services_import_eventbus_and_themselves_only() -> None:
    wrong = []
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        others = {*SERVICES, "sap_sandbox"} - {parts[parts.index("src") + 1]}
        wrong += [f"{named(path)}: {module}" for module in imported(path) if module.partition(".")[0] in others]
    assert not wrong


@pytest.mark.parametrize(
    ("imports", "strangers"),
    [
        ("eventbus.contract, eventbus.topology", ("eventlet", "nameko", "amqp", "pika", "sqlalchemy")),
        ("orders.gateway.main, orders.gateway.app", ("eventlet", "nameko", "amqp")),
        ("orders.relay.main", ("eventlet", "nameko", "amqp")),
    ],
)
def test_process_imports_no_stranger(imports: str, strangers: tuple[str, ...]) -> None:
    program = f"import sys, {imports}; print([m for m in {strangers} if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_handlers_do_not_speak_of_the_broker() -> None:
    handlers = [path for path in SOURCES if "@subscribe(" in path.read_text() and "services" in path.parts]
    assert len(handlers) >= len(SERVICES)
    assert not {named(path): words for path in handlers if (words := BROKER_WORDS.findall(path.read_text()))}


def test_only_the_runtime_knows_nameko() -> None:
    knowing = {named(path.parent) for path in SOURCES if any(m.startswith("nameko") for m in imported(path))}
    allowed = re.compile(r"eventbus/src/eventbus/(department|testing)|services/\w+/src/\w+(/\w+)?")
    assert all(allowed.fullmatch(folder) for folder in knowing), knowing


def test_every_service_has_the_same_shape() -> None:
    for service in SERVICES:
        folder = ROOT / "services" / service
        for part in (
            "README.md",
            "pyproject.toml",
            "config.yaml",
            "processes.conf",
            "requirements.txt",
            "src",
            "tests",
        ):
            assert (folder / part).exists(), f"services/{service} has no {part}"


def test_no_list_of_services_anywhere() -> None:
    """What starts, installs or tests services finds them by wildcard."""
    for path in [ROOT / "Makefile", *(ROOT / "deploy/laptop").rglob("*"), ROOT / ".ci/run"]:
        if path.is_file() and path.suffix in ("", ".py"):
            text = path.read_text()
            assert not [service for service in SERVICES if f"services/{service}" in text], path


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{named(page)}: {target}"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|\$ )make ([a-z-]+)", (ROOT / "README.md").read_text())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_runs_exactly_the_readmes_test_command() -> None:
    commands = [
        line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith(("#", "set "))
    ]
    assert commands[-1].removeprefix("exec ") == "make test"


@pytest.mark.parametrize("patch", sorted((ROOT / "tests/faults/mutants").glob("*.patch")), ids=lambda path: path.stem)
def test_breakages_that_the_fault_suite_must_catch_can_still_be_made(patch: Path) -> None:
    subprocess.run(["git", "apply", "--check", patch], cwd=ROOT, check=True)
