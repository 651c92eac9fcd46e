"""A department joins and leaves with its folder: nothing else in `deploy/kubernetes` names it."""

import shutil
from pathlib import Path

import pytest

from .checks.everything import CHECKS
from .checks.manifests import ENVIRONMENTS, KUBERNETES, Manifests, label, overlays, render, rendered_overlay

OF_THE_FOLDER = [title for title in CHECKS if title.startswith(("C3", "C4", "C5"))]


def findings(manifests: Manifests) -> list[str]:
    return [str(finding) for title in OF_THE_FOLDER for finding in CHECKS[title](manifests)]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_department_whose_folder_is_gone_has_gone_and_is_missed_by_nothing(environment: str, tmp_path: Path) -> None:
    folder = tmp_path / "kubernetes"
    shutil.copytree(KUBERNETES, folder, ignore=shutil.ignore_patterns("marketing"))
    left = [KUBERNETES / overlay.relative_to(folder) for overlay in overlays(environment, folder)]
    objects = [each for overlay in left for each in rendered_overlay(overlay)]
    assert not [label(each) for each in objects if "marketing" in str(each)]
    assert findings(Manifests(environment, objects, folder)) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_department_joins_by_a_folder_like_another(environment: str, tmp_path: Path) -> None:
    """Marketing's, with another name in its place, beside all others."""
    folder = tmp_path / "loyalty"
    shutil.copytree(KUBERNETES / "marketing", folder)
    shutil.copytree(KUBERNETES / "components", tmp_path / "components")
    for file in folder.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8").replace("order-bus/marketing", "order-bus/IMAGE")  # there is none yet
        text = text.replace("marketing-customer-key", "CUSTOMER-KEY").replace("marketing", "loyalty")
        text = text.replace("IMAGE", "marketing").replace("CUSTOMER-KEY", "marketing-customer-key")
        file.write_text(text, encoding="utf-8")
    objects = [each for overlay in overlays(environment) for each in rendered_overlay(overlay)]
    joined = render(folder / "overlays" / environment)
    assert findings(Manifests(environment, [*objects, *joined])) == []
    workloads = [each for each in joined if each["kind"] == "Deployment"]
    assert [each["metadata"]["name"] for each in workloads] == ["loyalty"]
