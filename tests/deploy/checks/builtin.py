"""C2: built-in kinds, strictly, against several versions of Kubernetes; unknown kinds and versions are findings.

The schemas are those of the package kubernetes-validate. Its own `validate` reads them from the disk anew for each
object and lets a kind that it does not know pass with a warning.
"""

import functools
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from . import custom
from .manifests import Finding, Manifests, Object, label

VALUES = {
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "policyTypes": {"Ingress", "Egress"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"},
    "whenUnsatisfiable": {"ScheduleAnyway", "DoNotSchedule"},
}
"""Of fields that have few; those schemas tell none."""
VERSIONS = ("1.30", "1.34", "1.37")


def check(manifests: Manifests) -> Iterator[Finding]:
    """Fields, types, enums and API versions of what Kubernetes itself knows."""
    for each in manifests.objects:
        if custom.group(each) in custom.groups():
            continue
        for version in VERSIONS:
            for fault in _faults(each, version):
                yield Finding("C2 built-in", label(each), f"Kubernetes {version}: {fault}")
        for key, value in _enumerated(each):
            if value not in VALUES[key]:
                yield Finding("C2 built-in", label(each), f"{key} is {value}, none of {', '.join(sorted(VALUES[key]))}")


def _faults(each: Object, version: str) -> Iterator[str]:
    validator = _validator(version, each["kind"], each["apiVersion"])
    if validator is None:
        yield f"there is no {each['kind']} {each['apiVersion']}"
        return
    for error in validator.iter_errors(each):
        yield f"{'.'.join(str(step) for step in error.path)}: {error.message[:200]}"


def _enumerated(node: Any) -> Iterator[tuple[str, Any]]:
    """Every value of the fields in `VALUES`."""
    if isinstance(node, list):
        for each in node:
            yield from _enumerated(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in VALUES:
                yield from ((key, each) for each in (value if isinstance(value, list) else [value]))
            yield from _enumerated(value)


@functools.cache
def _validator(version: str, kind: str, api_version: str) -> Draft202012Validator | None:
    group, _, number = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], number) if part)
    file = files("kubernetes_validate") / f"kubernetes-json-schema/v{version}.0-local-strict/{name}.json"
    if not file.is_file():
        return None
    schema = Resource.from_contents(json.loads(file.read_text()))
    return Draft202012Validator(schema.contents, registry=schema @ _definitions(version))


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    file = files("kubernetes_validate") / f"kubernetes-json-schema/v{version}.0-local-strict/_definitions.json"
    return Resource.from_contents(json.loads(file.read_text())) @ Registry()
