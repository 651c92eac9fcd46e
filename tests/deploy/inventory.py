"""`make deploy-schemas CRDS=<folder>`: checks every custom resource of the manifests against the operators' own
CustomResourceDefinitions in that folder, in full, and writes the inventory of what is used of them.

Exit code 1, with the findings, where anything is wrong; the inventory is then left as it was.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .checks.custom import SCHEMAS, Schema, faults, identity
from .checks.manifests import ENVIRONMENTS, LOADER, ROOT, Object, label, rendered

KEPT = ("type", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "additionalProperties")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: make deploy-schemas CRDS=<folder with CustomResourceDefinitions as YAML>\n")
        return 2
    definitions = read_definitions(Path(arguments[0]))
    groups = {name.partition("/")[0] for name in definitions}
    objects = [each for environment in ENVIRONMENTS for each in rendered(environment).objects]
    ours = [each for each in objects if each["apiVersion"].partition("/")[0] in groups or _is_foreign(each)]
    findings = list(_findings(ours, definitions))
    if findings:
        sys.stderr.write("".join(f"{finding}\n" for finding in findings))
        return 1
    written = write(ours, definitions)
    sys.stdout.write(f"{len(ours)} custom resources of {len(written)} kinds are as their definitions want them\n")
    sys.stdout.write(
        "".join(f"{file.relative_to(ROOT)}: {file.stat().st_size} bytes\n" for file in sorted(set(written.values())))
    )
    return 0


def read_definitions(folder: Path) -> dict[str, Schema]:
    """The schema of each served version of each kind, closed: what it does not list it refuses."""
    found: dict[str, Schema] = {}
    for file in sorted(folder.rglob("*.y*ml")):
        for document in yaml.load_all(file.read_text(encoding="utf-8"), LOADER):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                name = f"{spec['group']}/{version['name']} {spec['names']['kind']}"
                schema = dict(version["schema"]["openAPIV3Schema"])
                own = {
                    k: v
                    for k, v in schema["properties"].items()
                    if k not in ("apiVersion", "kind", "metadata", "status")
                }
                required = [name for name in schema.get("required", []) if name in own]
                found[name] = _closed({**schema, "properties": own, "required": required})
    return found


def write(objects: list[Object], definitions: dict[str, Schema]) -> dict[str, Path]:
    """Write the inventory; the file of each kind."""
    uses: dict[str, list[Object]] = defaultdict(list)
    for each in objects:
        uses[identity(each)].append({k: v for k, v in each.items() if k not in ("apiVersion", "kind", "metadata")})
    files: dict[str, dict[str, Schema]] = defaultdict(dict)
    for name in sorted(uses):
        files[name.partition("/")[0]][name] = pruned(definitions[name], uses[name])
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for old in SCHEMAS.glob("*.json"):
        old.unlink()
    for group, kinds in files.items():
        lines = (f"{json.dumps(name)}: {json.dumps(schema, sort_keys=True)}" for name, schema in kinds.items())
        (SCHEMAS / f"{group}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return {name: SCHEMAS / f"{name.partition('/')[0]}.json" for name in uses}


def pruned(schema: Schema, values: list[Any]) -> Schema:
    """The schema of these values alone: properties that none of them has are left out."""
    kept = {key: schema[key] for key in KEPT if key in schema and not isinstance(schema[key], dict)}
    held = [value for value in values if isinstance(value, dict)]
    properties = schema.get("properties", {})
    used = {name for value in held for name in value if name in properties}
    if properties:
        kept["properties"] = {
            name: pruned(properties[name], [v[name] for v in held if name in v]) for name in sorted(used)
        }
        kept["required"] = sorted(set(schema.get("required", [])) & used)
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        kept["additionalProperties"] = pruned(more, [v for value in held for v in value.values()])
    if "items" in schema:
        kept["items"] = pruned(schema["items"], [v for value in values if isinstance(value, list) for v in value])
    return kept


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {
        k: _closed(v) for k, v in node.items() if not k.startswith("x-kubernetes-") and k not in ("format", "default")
    }
    if "properties" in node and isinstance(node["properties"], dict):
        closed["properties"] = {name: _closed(schema) for name, schema in node["properties"].items()}
        if "additionalProperties" not in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            closed["additionalProperties"] = False
    if node.get("x-kubernetes-int-or-string"):
        closed.pop("anyOf", None)
        closed["type"] = ["integer", "string"]
    if node.get("nullable"):
        closed.pop("nullable")
    return closed


def _findings(objects: list[Object], definitions: dict[str, Schema]) -> Iterator[str]:
    for each in objects:
        schema = definitions.get(identity(each))
        if schema is None:
            yield f"{label(each)}: there is no definition of {identity(each)} in the folder"
            continue
        yield from (f"{label(each)}: {fault}" for fault in faults(each, schema))


def _is_foreign(each: Object) -> bool:
    """Whether the kind is an operator's: Kubernetes' own groups have no dot, or end with k8s.io."""
    group = each["apiVersion"].rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
