"""What is checked: the rendered objects of one environment, and the folder that they come from."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
KUBERNETES = ROOT / "deploy/kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
ENVIRONMENTS = ("development", "production")
NAMESPACE = "order-bus"
PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
SECRET = "ofasecretthatnobodyknowsbutitsowner0000"
"""Stands for what a Secret holds."""
COMPONENT = "app.kubernetes.io/component"

Object = dict[str, Any]
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Finding:
    """Something is wrong: which check says so, of which object, and what."""

    check: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.check}: {self.where}: {self.what}"


class RenderError(Exception):
    """kustomize refused; its words."""


@dataclass(frozen=True)
class Manifests:
    """The objects of one environment."""

    environment: str
    objects: list[Object]
    folder: Path = KUBERNETES

    def of(self, *kinds: str) -> Iterator[Object]:
        """The objects of these kinds."""
        return (each for each in self.objects if each["kind"] in kinds)

    def named(self, kind: str, name: str) -> Object | None:
        """The object of that kind and name."""
        return next((each for each in self.of(kind) if each["metadata"]["name"] == name), None)

    def ours(self) -> Iterator[Object]:
        """The Deployments of the order bus itself."""
        return (each for each in self.of("Deployment") if pod_labels(each).get(PART_OF) == NAMESPACE)

    def environment_of(self, container: Mapping[str, Any]) -> dict[str, str]:
        """The container's variables, `$(VAR)` replaced. `SECRET` stands for what a Secret holds."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            config = self.named("ConfigMap", source["configMapRef"]["name"])
            found |= config["data"] if config else {}
        for entry in container.get("env", []):
            value = entry.get("value", SECRET)
            for name, known in found.items():
                value = value.replace(f"$({name})", known)
            found[entry["name"]] = value
        return found


def render(overlay: Path) -> list[Object]:
    """What kustomize makes of that folder.

    Raises:
        RenderError: it refused.
    """
    done = subprocess.run([KUBECTL, "kustomize", overlay], capture_output=True, text=True, check=False)
    if done.returncode or done.stderr.strip():
        raise RenderError(done.stderr.strip())
    return [document for document in yaml.load_all(done.stdout, LOADER) if document]


def overlays(environment: str, folder: Path = KUBERNETES) -> list[Path]:
    """The overlays of that environment, the platform's first: what `make manifests` renders."""
    found = folder.glob(f"*/overlays/{environment}")
    return sorted(found, key=lambda path: (path.parents[1].name != "platform", path))


def rendered(environment: str, folder: Path = KUBERNETES) -> Manifests:
    """All objects of that environment."""
    objects = [each for overlay in overlays(environment, folder) for each in rendered_overlay(overlay)]
    return Manifests(environment, objects, folder)


@cache
def rendered_overlay(overlay: Path) -> tuple[Object, ...]:
    """What kustomize makes of that folder, once. Whoever changes it copies it."""
    return tuple(render(overlay))


def pod_of(workload: Object) -> Object:
    """The specification of its pods."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def pod_labels(workload: Object) -> dict[str, str]:
    """The labels of its pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"].get("labels", {})
    return labels


def containers(workload: Object) -> list[Object]:
    """Its containers, those that prepare included."""
    pod = pod_of(workload)
    return [*pod.get("initContainers", []), *pod["containers"]]


def label(each: Object) -> str:
    """How a finding names the object."""
    return f"{each['kind']} {each['metadata']['name']}"


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (`matchLabels`, `matchExpressions`) takes these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        held = labels.get(expression["key"])
        fits = {"In": held in expression.get("values", []), "Exists": held is not None}
        if not fits[expression["operator"]]:
            return False
    return True
