"""Entities as OData version 2 writes them in JSON."""

from datetime import datetime
from typing import Any

from sap_sandbox import edm
from sap_sandbox.deep_insert import Row
from sap_sandbox.schema import ENTITY_TYPES, NAMESPACE, EntityType

Document = dict[str, Any]


def entity(
    base_url: str,
    kind: EntityType,
    row: Row,
    inline: dict[str, list[Row]],
    selected: dict[str, frozenset[str]],
) -> Document:
    """One entity. Navigations in `inline` are written out, others are links.

    Args:
        base_url: the service's root, without a slash at the end.
        inline: the entities behind a navigation, by its name.
        selected: as in `Query`.
    """
    uri = address(base_url, kind, row)
    metadata = {"id": uri, "uri": uri, "type": f"{NAMESPACE}.{kind.type_name}"}
    if version := etag(row):
        metadata["etag"] = version
    names = selected.get("")
    document: Document = {"__metadata": metadata}
    for prop in kind.properties:
        if names is None or prop.name in names:
            document[prop.name] = edm.to_json(prop, row[prop.name])
    for navigation, set_name in kind.navigations.items():
        if names is not None and navigation not in names:
            continue
        if navigation in inline:
            own = {"": selected[navigation]} if navigation in selected else {}
            rows = [entity(base_url, ENTITY_TYPES[set_name], child, {}, own) for child in inline[navigation]]
            document[navigation] = {"results": rows}
        else:
            document[navigation] = {"__deferred": {"uri": f"{uri}/{navigation}"}}
    return document


def address(base_url: str, kind: EntityType, row: Row) -> str:
    """The address of the entity."""
    literals = {
        prop.name: edm.key_literal(prop, str(row[prop.name])) for prop in kind.properties if prop.name in kind.keys
    }
    if len(literals) == 1:
        return f"{base_url}/{kind.set_name}({next(iter(literals.values()))})"
    parts = ",".join(f"{name}={literals[name]}" for name in kind.keys)
    return f"{base_url}/{kind.set_name}({parts})"


def etag(row: Row) -> str | None:
    """The version of a sales order: its last change. Other entities have none."""
    changed = row.get("LastChangeDateTime")
    if not isinstance(changed, datetime):
        return None
    moment = f"{changed:%Y-%m-%dT%H%%3A%M%%3A%S.%f}0Z"
    return f"W/\"datetimeoffset'{moment}'\""
