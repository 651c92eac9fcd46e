"""C4: ConfigMaps, Secrets, their keys, volumes and `$(VAR)`: whatever is used is there, and in time."""

import re
from collections import defaultdict
from collections.abc import Iterator

from .manifests import Finding, Manifests, Object, containers, label, pod_of

_ROW = re.compile(r"^\| `(?P<secret>[a-z0-9-]+)` \| (?P<keys>(?:`[^`]+`(?:, )?)+) \|", re.MULTILINE)
_VARIABLE = re.compile(r"\$\(([A-Z0-9_]+)\)")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Every reference of a container, a volume, a scaler or a store."""
    secrets, configs = secrets_of(manifests), {c["metadata"]["name"]: set(c["data"]) for c in manifests.of("ConfigMap")}
    for each in manifests.objects:
        for kind, name, key in references(each):
            known = (secrets if kind == "Secret" else configs).get(name)
            if known is None:
                yield Finding(f"C4 {kind}", label(each), f"{name} is neither here nor in the README as given")
            elif key is not None and key not in known:
                yield Finding(
                    f"C4 {kind} key", label(each), f"{name} has no key {key}, it has {', '.join(sorted(known))}"
                )
    for workload in manifests.of("Deployment"):
        yield from _variables(manifests, workload)
        yield from _volumes(workload)


def secrets_of(manifests: Manifests) -> dict[str, set[str]]:
    """Keys of each Secret: what the operators make of the objects, and what the README asks for."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in manifests.of("User"):
        found[f"{each['metadata']['name']}-user-credentials"] = {"username", "password"}
    for each in manifests.of("DatabaseRole"):
        if each["spec"].get("clientCertificate", {}).get("enabled"):
            found[f"{each['metadata']['name']}-client-cert"] = {"tls.crt", "tls.key"}
    for each in manifests.of("Cluster"):
        found[f"{each['metadata']['name']}-ca"] = {"ca.crt", "ca.key"}
    readme = (manifests.folder / "README.md").read_text(encoding="utf-8")
    for row in _ROW.finditer(readme):
        found[row["secret"]] |= set(re.findall(r"`([^`]+)`", row["keys"]))
    return dict(found)


def references(each: Object) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key of every Secret and ConfigMap that the object uses."""
    if each["kind"] == "Deployment":
        for container in containers(each):
            for source in container.get("envFrom", []):
                yield "ConfigMap", source["configMapRef"]["name"], None
            for entry in container.get("env", []):
                if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
                    yield "Secret", reference["name"], reference["key"]
        for volume in pod_of(each).get("volumes", []):
            yield from _of_volume(volume)
        return
    spec = each.get("spec", {})
    for kind, field in (("Secret", "secretTargetRef"), ("ConfigMap", "configMapTargetRef")):
        yield from ((kind, reference["name"], reference["key"]) for reference in spec.get(field, []))
    for reference in spec.get("configuration", {}).get("s3Credentials", {}).values():
        yield "Secret", reference["name"], reference["key"]
    if name := spec.get("tls", {}).get("secretName"):
        yield "Secret", name, "tls.key"
    for endpoint in spec.get("endpoints", []):
        if reference := endpoint.get("tlsConfig", {}).get("ca", {}).get("secret"):
            yield "Secret", reference["name"], reference["key"]


def _of_volume(volume: Object) -> Iterator[tuple[str, str, str | None]]:
    sources = volume.get("projected", {}).get("sources", [volume])
    for source in sources:
        if secret := source.get("secret"):
            name = secret.get("secretName", secret.get("name"))
            yield from (("Secret", name, item["key"]) for item in secret.get("items", []))
            if "items" not in secret:
                yield "Secret", name, None
        if config := source.get("configMap"):
            yield "ConfigMap", config["name"], None


def _variables(manifests: Manifests, workload: Object) -> Iterator[Finding]:
    """Kubernetes leaves a `$(VAR)` as it stands when VAR is not set above it."""
    for container in containers(workload):
        known = set(manifests.environment_of({"envFrom": container.get("envFrom", [])}))
        for entry in container.get("env", []):
            for name in _VARIABLE.findall(entry.get("value", "")):
                if name not in known:
                    yield Finding("C4 variable", label(workload), f"{entry['name']} uses $({name}), not set above it")
            known.add(entry["name"])


def _volumes(workload: Object) -> Iterator[Finding]:
    there = {volume["name"] for volume in pod_of(workload).get("volumes", [])}
    mounted = {mount["name"] for c in containers(workload) for mount in c.get("volumeMounts", [])}
    for name in sorted(mounted - there):
        yield Finding("C4 volume", label(workload), f"mounts {name}, and has no such volume")
    for name in sorted(there - mounted):
        yield Finding("C4 volume", label(workload), f"has a volume {name} that nothing mounts")
    for container in containers(workload):
        folders = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        for entry in container.get("env", []):
            value = entry.get("value", "")
            if value.startswith("/etc/") and not any(value.startswith(f"{folder}/") for folder in folders):
                yield Finding("C4 volume", label(workload), f"{entry['name']}={value}: nothing is mounted there")
