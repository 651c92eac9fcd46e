"""Mistakes, each made in a copy of the manifests, and the check that has to name it.

What the checks say of the manifests as they are is in `test_manifests.py`: nothing. So whatever they say here is due to
the mistake.
"""

import copy
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from .checks.everything import CHECKS
from .checks.manifests import KUBERNETES, Manifests, Object, RenderError, overlays, render, rendered, rendered_overlay

MISTAKES: dict[str, list[Any]] = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named_by_its_check(mistake: str) -> None:
    expected, what, *details = MISTAKES[mistake]
    objects = copy.deepcopy(rendered("production").objects)
    changed = make(objects, what, *details)
    if expected.startswith(("C2", "C3")):
        objects = [changed]  # they look at one object at a time, and take their time
    if expected.startswith("C8"):
        changed["spec"]["groups"][0]["rules"][1:] = []
    assert expected in found(expected, Manifests("production", objects))


def found(expected: str, manifests: Manifests) -> list[str]:
    """Which checks of that level name something."""
    level = expected.partition(" ")[0]
    return [each.check for title, check in CHECKS.items() if title.startswith(level) for each in check(manifests)]


def make(objects: list[Object], what: str, where: Any, path: str = "", value: Any = None) -> Object:
    """Make the mistake; the object in which it is."""
    if what == "add":
        objects.append(where)
        return cast(Object, where)
    kind, _, name = where.partition("/")
    changed = next(each for each in objects if each["kind"] == kind and is_named(each, name))
    if not path:
        objects.remove(changed)
        return changed
    *steps, last = (step.replace("~", "/") for step in path.split("/"))
    node: Any = changed
    for step in steps:
        node = node[int(step) if isinstance(node, list) else step]
    place: Any = int(last) if isinstance(node, list) and last != "+" else last
    if what == "drop":
        del node[place]
    elif what == "swap":
        one, other = value
        node[place][one], node[place][other] = node[place][other], node[place][one]
    elif last == "+":
        node.append(value)
    else:
        node[place] = value
    return changed


def is_named(each: Object, name: str) -> bool:
    """Whether the object has that name; a ConfigMap's ends with a hash."""
    own: str = each["metadata"]["name"]
    return own == name or own.startswith(f"{name}-settings-")


FOLDER_MISTAKES = {
    "images: that match nothing": (
        "C5 image",
        "printer/overlays/production/kustomization.yaml",
        "name: order-bus/printer",
        "name: order-bus/printers",
    ),
    "component whose patch matches nothing": (
        "C5 component",
        "components/workload/kustomization.yaml",
        "kind: Deployment",
        "kind: StatefulSet",
    ),
    "component's patch of a container that is not there": (
        "C5 component",
        "components/department/department.yaml",
        "- name: process",
        "- name: main",
    ),
    "settings of another service": (
        "C4 ConfigMap",
        "printer/base/deployment.yaml",
        "name: printer-settings",
        "name: print-settings",
    ),
    "rights that were changed by hand": (
        "C7 rights",
        "printer/base/broker-users.yaml",
        "read: ^order\\.",
        "read: ^",
    ),
}
"""Check, file, what stands there, what is put in its place: kustomize lets them pass."""


@pytest.mark.parametrize("name", FOLDER_MISTAKES)
def test_mistake_that_kustomize_lets_pass_is_named_by_its_check(name: str, tmp_path: Path) -> None:
    expected, file, stands, put_there = FOLDER_MISTAKES[name]
    manifests = changed_folder(tmp_path, file, stands, put_there)
    assert expected in found(expected, manifests)


@pytest.mark.parametrize(
    ("file", "stands", "put_there"),
    [
        ("printer/base/kustomization.yaml", "  - database.yaml", "  - databases.yaml"),
        ("printer/base/deployment.yaml", "    spec:\n", "   spec:\n"),
        ("printer/overlays/production/kustomization.yaml", "      name: printer\n", "      name: print\n"),
    ],
    ids=["file that is not there", "indentation", "patch of one object that is not there"],
)
def test_mistake_that_kustomize_sees_is_told_in_its_words_or_by_a_check(
    file: str, stands: str, put_there: str, tmp_path: Path
) -> None:
    try:
        manifests = changed_folder(tmp_path, file, stands, put_there)
    except RenderError:
        return
    # a target by name that matches nothing is ignored: the printer cannot be reached
    assert "C5 network" in found("C5 network", manifests)


def changed_folder(tmp_path: Path, file: str, stands: str, put_there: str) -> Manifests:
    """All objects, with a copy of the folder in which that was changed."""
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder)
    text = (folder / file).read_text(encoding="utf-8")
    assert stands in text
    (folder / file).write_text(text.replace(stands, put_there), encoding="utf-8")
    own = file.partition("/")[0]
    objects: list[Object] = []
    for overlay in overlays("production", folder):
        is_changed = own in ("components", overlay.parents[1].name)
        objects += render(overlay) if is_changed else rendered_overlay(KUBERNETES / overlay.relative_to(folder))
    return Manifests("production", objects, folder)
