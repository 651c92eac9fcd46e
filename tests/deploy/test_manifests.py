"""The manifests for Kubernetes as they are: every overlay is rendered, and no check finds a fault."""

import subprocess

import pytest
import yaml

from .checks.everything import CHECKS
from .checks.manifests import ENVIRONMENTS, KUBECTL, KUBERNETES, ROOT, label, overlays, rendered

FOLDERS = [path.parent.parent.name for path in sorted(KUBERNETES.glob("*/overlays/production"))]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_check_finds_a_fault(environment: str, check: str) -> None:
    assert [str(finding) for finding in CHECKS[check](rendered(environment))] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_there_twice(environment: str) -> None:
    labels = [label(each) for each in rendered(environment).objects]
    assert sorted(labels) == sorted(set(labels))


def test_every_service_has_a_folder_with_both_environments() -> None:
    """A department is two folders: `services/<name>` and `deploy/kubernetes/<name>`, without `_`."""
    services = {path.parent.name.replace("_", "-") for path in (ROOT / "services").glob("*/pyproject.toml")}
    for environment in ENVIRONMENTS:
        found = {path.parents[1].name for path in overlays(environment)}
        assert found == services | {"platform"}


def test_make_manifests_renders_whatever_folder_it_finds_the_platform_first() -> None:
    """The recipe's own loop, without the environment's preparation that comes before it."""
    listed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "manifests", "ENV=development"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    loop = listed[listed.index("for folder") :].replace("var/venv/bin/kubectl", str(KUBECTL))
    done = subprocess.run(["sh", "-c", loop], cwd=ROOT, capture_output=True, text=True, check=True)
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert [label(each) for each in objects] == [label(each) for each in rendered("development").objects]
    assert label(objects[0]) == "Namespace order-bus"
