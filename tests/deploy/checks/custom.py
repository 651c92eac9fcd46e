"""C3: custom resources against the inventory of the fields that we use, made of the operators' own definitions.

`deploy/kubernetes/schemas/<group>.json` holds for each kind the part of its CustomResourceDefinition's schema that the
manifests use: paths, types, enums, required fields. What is not in it is a finding: a mistake, or a field that
is new here (`make deploy-schemas CRDS=<folder>` checks it in full and takes it in).
"""

import functools
import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from .manifests import KUBERNETES, Finding, Manifests, Object, label

SCHEMAS = KUBERNETES / "schemas"

Schema = dict[str, Any]


def check(manifests: Manifests) -> Iterator[Finding]:
    """Fields, types, enums and API versions of the operators' kinds."""
    for each in manifests.objects:
        if group(each) not in groups():
            continue
        schema = inventory().get(identity(each))
        if schema is None:
            yield Finding("C3 custom", label(each), f"{identity(each)} is not in the inventory")
            continue
        yield from (Finding("C3 custom", label(each), fault) for fault in faults(each, schema))


def faults(each: Object, schema: Schema) -> Iterator[str]:
    """What that schema does not allow of the object; metadata is Kubernetes' own."""
    own = {key: value for key, value in each.items() if key not in ("apiVersion", "kind", "metadata")}
    for error in Draft202012Validator(schema).iter_errors(own):
        yield f"{'.'.join(str(step) for step in error.path)}: {error.message[:200]}"


def identity(each: Object) -> str:
    """API version and kind."""
    return f"{each['apiVersion']} {each['kind']}"


def group(each: Object) -> str:
    """The object's API group; empty for the oldest kinds."""
    return str(each["apiVersion"]).rpartition("/")[0]


def groups() -> frozenset[str]:
    """The API groups of operators."""
    return frozenset(name.partition("/")[0] for name in inventory())


@functools.cache
def inventory() -> dict[str, Schema]:
    """The schema of each kind, by `<group>/<version> <kind>`."""
    return {
        name: schema for file in sorted(SCHEMAS.glob("*.json")) for name, schema in json.loads(file.read_text()).items()
    }
