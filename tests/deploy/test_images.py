"""The Dockerfiles: what they take from the repository, how they run, and that each kind of mistake is found."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
USER = "10001:10001"
OWN_ENVIRONMENT = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "DATA_DIR"}
PARTS = ("Dockerfile", "compose.yaml", "pyproject.toml", "requirements.txt", "config.yaml", "processes.conf")
_SUBSTITUTED = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")


def problems(root: Path) -> Iterator[str]:
    """Whatever is wrong with the images of that tree, one line each."""
    for service in sorted(root.glob("services/*/pyproject.toml")):
        for part in ("Dockerfile", "compose.yaml"):
            if not service.with_name(part).exists():
                yield f"{service.parent.relative_to(root)}: no {part}"
    dockerfiles = sorted([root / "eventbus/Dockerfile", *root.glob("services/**/Dockerfile")])
    bases = set()
    for file in dockerfiles:
        instructions = instructions_of(file)
        bases |= {value for word, value in instructions if word == "ARG" and value.startswith("PYTHON_IMAGE")}
        for problem in [*_source_problems(root, file, instructions), *_run_problems(root, file, instructions)]:
            yield f"{file.parent.relative_to(root)}: {problem}"
    if len(bases) != 1:
        yield f"more than one base: {sorted(bases)}"


def instructions_of(file: Path) -> list[tuple[str, str]]:
    """Each instruction's word and the rest, continued lines joined."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def _source_problems(root: Path, file: Path, instructions: list[tuple[str, str]]) -> Iterator[str]:
    folder = file.parent
    others = {each.parent for each in root.glob("services/**/pyproject.toml")} - {folder}
    for word, value in instructions:
        if word != "COPY" or value.startswith("--from="):
            continue
        for source in (root / name for name in value.split()[:-1]):
            inside = source.is_relative_to(folder) or source.is_relative_to(root / "eventbus")
            if any(each.is_relative_to(source) or source.is_relative_to(each) for each in others - {*folder.parents}):
                yield f"copies another service: {source.relative_to(root)}"
            elif source != root / "deploy/images/requirements.txt" and not inside:
                yield f"copies what is neither its own nor eventbus: {source.relative_to(root)}"
            elif not source.exists() and source.name in PARTS:
                yield f"copies what does not exist: {source.relative_to(root)}"


def _run_problems(root: Path, file: Path, instructions: list[tuple[str, str]]) -> Iterator[str]:
    last = dict(instructions)
    if last.get("USER") != USER:
        yield f"user is {last.get('USER')}, not {USER}"
    if any(word == "FROM" and not value.startswith("${PYTHON_IMAGE}") for word, value in instructions):
        yield "a base that PYTHON_IMAGE does not name"
    if not last.get("ENTRYPOINT", "").startswith("["):
        yield "entry point is not in exec form: a shell would be PID 1 and take the signals"
    name = tomllib.loads((file.parent / "pyproject.toml").read_text())["project"]["name"]
    title = name.replace("order-bus-eventbus", "order-bus-bus").replace("order-bus-", "order-bus/", 1)
    for label in (f'title="{title}"', "description=", "licenses="):  # version and revision: deploy/images/build
        if f"org.opencontainers.image.{label}" not in last.get("LABEL", ""):
            yield f"no label {label}"
    settings = [file.parent / "config.yaml", *(file.parent / "src").rglob("config.yaml")]
    known = {found for each in settings if each.exists() for found in _SUBSTITUTED.findall(each.read_text())}
    known |= OWN_ENVIRONMENT
    yield from (f"no setting is called {name}" for name in environment_of(file) - known)
    addresses = {name for name in known if name.endswith("_HOST")}
    yield from (f"listens on loopback: {name} is not set" for name in addresses - environment_of(file))
    if "--no-index" not in "".join(value for word, value in instructions if word == "RUN"):
        yield "installs what is not pinned"


def environment_of(file: Path) -> set[str]:
    """The variables that the image sets."""
    values = " ".join(value for word, value in instructions_of(file) if word == "ENV")
    return {pair.partition("=")[0] for pair in values.split()}


def lint(files: list[Path]) -> list[str]:
    """What hadolint says of them."""
    hadolint = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([hadolint, "--no-fail", "--format", "json", *files], capture_output=True, check=True)
    return [f"{each['file']}:{each['line']}: {each['code']} {each['message']}" for each in json.loads(ended.stdout)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the images are described by."""
    for folder in ("eventbus", "services"):
        for part in PARTS:
            for file in (ROOT / folder).rglob(part):
                copy = tmp_path / file.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    return tmp_path


def test_images_are_without_mistakes() -> None:
    assert list(problems(ROOT)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("services/printer/Dockerfile", "USER 10001:10001", "USER printer", "user is printer"),
        ("services/printer/Dockerfile", "USER 10001:10001\n", "", "user is None"),
        ("services/printer/Dockerfile", '["python", "-m", "printer"]', "python -m printer", "exec form"),
        ("services/printer/Dockerfile", "services/printer/src", "services/marketing/src", "copies another service"),
        ("services/printer/Dockerfile", "services/printer/src service/src", "services service", "another service"),
        (
            "services/sap_bridge/Dockerfile",
            "COPY services/sap_bridge/src",
            "COPY services/sap_bridge",
            "another service",
        ),
        ("services/printer/Dockerfile", "eventbus/src eventbus/src", ". .", "another service"),
        ("services/printer/Dockerfile", "eventbus/src eventbus/src", "tests tests", "neither its own nor eventbus"),
        ("services/printer/Dockerfile", "printer/config.yaml", "printer/mapping.yaml config.yaml", "neither its own"),
        ("services/printer/Dockerfile", "HEALTH_HOST=", "HEALTH_ADDRESS=", "no setting is called HEALTH_ADDRESS"),
        ("services/orders/Dockerfile", " GATEWAY_HOST=0.0.0.0", "", "loopback: GATEWAY_HOST"),
        ("services/printer/Dockerfile", "order-bus/printer", "order-bus/printers", "no label title"),
        ("services/printer/Dockerfile", "image.licenses=", "image.license=", "no label licenses"),
        ("services/printer/Dockerfile", "python:3.11-slim", "python:3.12-slim", "more than one base"),
        ("services/printer/Dockerfile", "${PYTHON_IMAGE}\n#", "python\n#", "PYTHON_IMAGE does not name"),
        ("services/printer/Dockerfile", "--no-index ", "", "not pinned"),
        ("services/marketing/Dockerfile", None, None, "services/marketing: no Dockerfile"),
        ("services/marketing/compose.yaml", None, None, "services/marketing: no compose.yaml"),
    ],
)
def test_seeded_mistake_is_found(tree: Path, file: str, old: str | None, new: str | None, found: str) -> None:
    path = tree / file
    if old is None or new is None:
        path.unlink()
    else:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    assert [problem for problem in problems(tree) if found in problem]


def test_linter_is_content_and_finds_seeded_mistakes(tree: Path) -> None:
    assert lint([ROOT / "eventbus/Dockerfile", *ROOT.glob("services/**/Dockerfile")]) == []
    file = tree / "services/printer/Dockerfile"
    text = file.read_text()
    text = text.replace("RUN rm", "RUN apt-get update && apt-get install -y gcc && rm")
    text = text.replace("FROM ${PYTHON_IMAGE}\n", "FROM python:latest\n")
    text = text.replace("pip install --no-cache-dir -r build.txt", "pip install -r build.txt\nRUN pip install x")
    file.write_text(text)
    said = " ".join(lint([file]))
    assert [code for code in ("DL3007", "DL3008", "DL3015", "DL3042") if code not in said] == []


def test_context_holds_what_images_take_and_little_else() -> None:
    """Patterns of .dockerignore as docker reads them: the last that matches decides."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    assert {line for line in lines if line.startswith("!")} == {
        "!eventbus",
        "!services",
        "!deploy/images/requirements.txt",
    }


def test_every_image_of_compose_is_built_here() -> None:
    titles = {
        found
        for file in [ROOT / "eventbus/Dockerfile", *ROOT.glob("services/**/Dockerfile")]
        for found in re.findall(r'image\.title="([^"]*)"', file.read_text())
    }
    named = set()
    for file in [ROOT / "compose.yaml", *ROOT.glob("services/*/compose.yaml")]:
        document = yaml.safe_load(file.read_text())
        images = [service.get("image", "") for service in document["services"].values()]
        named |= {image.partition(":")[0] for image in images if image.startswith("order-bus/")}
    assert named == titles
