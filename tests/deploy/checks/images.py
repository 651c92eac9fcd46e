"""C5: images are pinned, are ours, and what overlays and components change is there to be changed."""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from .manifests import ROOT, Finding, Manifests, containers, label, overlays, pod_labels, pod_of

_TITLE = re.compile(r'org\.opencontainers\.image\.title="([^"]+)"')


def check(manifests: Manifests) -> Iterator[Finding]:
    """Tags, names, and `images:` and `components:` that match."""
    built = images_built()
    for workload in manifests.of("Deployment"):
        for container in containers(workload):
            name, tag = _split(container.get("image", ""))
            if not tag or tag == "latest":
                yield Finding("C5 image", label(workload), f"{container.get('image')} has no tag that stays what it is")
            if not any(name.endswith(f"/{each}") for each in built):
                yield Finding("C5 image", label(workload), f"no Dockerfile makes {name}: they make {', '.join(built)}")
            version = pod_labels(workload).get("app.kubernetes.io/version")
            if not tag.startswith("sha256:") and tag != version:
                yield Finding("C5 image", label(workload), f"{container.get('image')} is labelled version {version}")
    for kind, field in (("RabbitmqCluster", "image"), ("Cluster", "imageName")):
        for each in manifests.of(kind):
            if _split(each["spec"].get(field, ""))[1] in ("", "latest", "management"):
                yield Finding("C5 image", label(each), f"{each['spec'].get(field)} is whatever is newest")
    used = {container.get("image", "") for workload in manifests.of("Deployment") for container in containers(workload)}
    for overlay in overlays(manifests.environment, manifests.folder):
        yield from _unmatched(overlay, used)
    yield from _components(manifests)


def images_built() -> list[str]:
    """The names under which the Dockerfiles build."""
    files = [*ROOT.glob("services/**/Dockerfile"), ROOT / "eventbus/Dockerfile"]
    return sorted(found[1] for file in files if (found := _TITLE.search(file.read_text(encoding="utf-8"))))


def _split(image: str) -> tuple[str, str]:
    """Name, and tag or digest."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    name, _, tag = image.partition(":") if ":" not in image.rpartition("/")[0] else image.rpartition(":")
    return name, tag


def _unmatched(overlay: Path, used: set[str]) -> Iterator[Finding]:
    """kustomize ignores an entry of `images:` that matches nothing."""
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text(encoding="utf-8"))
    for entry in kustomization.get("images", []):
        wanted = entry.get("newName", entry["name"])
        if not any(_split(image)[0] == wanted for image in used):
            where = overlay.relative_to(overlay.parents[2])
            yield Finding("C5 image", str(where), f"images: nothing is named {entry['name']}")


def _components(manifests: Manifests) -> Iterator[Finding]:
    """kustomize ignores a patch whose target matches nothing, too: what the components give has to be there."""
    for workload in manifests.ours():
        pod = pod_of(workload)
        if "tmp" not in {volume["name"] for volume in pod.get("volumes", [])} or "securityContext" not in pod:
            yield Finding("C5 component", label(workload), "components/workload changed nothing here")
        process = pod["containers"][0]
        is_department = pod_labels(workload).get("app.kubernetes.io/component") == "department"
        if is_department and "HEALTH_HOST" not in {entry["name"] for entry in process.get("env", [])}:
            yield Finding("C5 component", label(workload), "components/department changed nothing here")
        if len(pod["containers"]) != 1:
            yield Finding("C5 component", label(workload), "is more than one process: a component named another one")
