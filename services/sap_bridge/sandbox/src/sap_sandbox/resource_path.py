"""The part of an address behind the service's root: which set, entity, navigation or count is meant."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from sap_sandbox import edm
from sap_sandbox.errors import BadRequestError, ODataError
from sap_sandbox.messages import Sim
from sap_sandbox.schema import ENTITY_TYPES, EntityType

_STRING = r"'(?:[^']|'')*'"
_SEGMENT = re.compile(rf"(?P<name>[A-Za-z_]\w*)(?:\((?P<key>(?:[^()']|{_STRING})*)\))?")
_PATH = re.compile(rf"(?P<first>{_SEGMENT.pattern})(?:/(?P<navigation>to_\w+))?(?P<count>/\$count)?")
_KEY_PART = re.compile(rf"\s*(?:(?P<name>\w+)\s*=\s*)?(?P<literal>{_STRING})\s*")


@dataclass(frozen=True)
class Resource:
    """A set of entities (`key` is None) or one of them; `navigation` leads on to a set that belongs to that one."""

    entity: EntityType
    key: dict[str, str] | None = None
    navigation: str | None = None
    is_count: bool = False

    @property
    def target(self) -> EntityType:
        """The type of the entities that the answer holds."""
        return ENTITY_TYPES[self.entity.navigations[self.navigation]] if self.navigation else self.entity

    @property
    def is_single(self) -> bool:
        """Whether one entity is meant, not a set."""
        return self.key is not None and self.navigation is None


def parse(path: str) -> Resource:
    """The resource at that path (decoded, without a leading slash).

    Raises:
        ODataError: 404, there is no such resource; 400, the key does not fit the entity.
    """
    match = _PATH.fullmatch(path)
    entity = ENTITY_TYPES.get(match["name"]) if match else None
    if match is None or entity is None:
        raise _not_found(path)
    navigation, key = match["navigation"], match["key"]
    parsed = None if key is None else _key(entity, key)
    if navigation and (parsed is None or navigation not in entity.navigations):
        raise _not_found(navigation)
    resource = Resource(entity, parsed, navigation, match["count"] is not None)
    if resource.is_count and resource.is_single:
        raise _not_found("$count")
    return resource


def _key(entity: EntityType, text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    position = 0
    while part := _KEY_PART.match(text, position):
        name = part["name"] or (entity.keys[0] if len(entity.keys) == 1 else "")
        prop = entity.find(name) if name in entity.keys and name not in values else None
        if prop is None:
            break
        try:
            values[name] = edm.text(prop, part["literal"][1:-1].replace("''", "'"))
        except edm.ValueFormatError as error:
            raise BadRequestError(Sim.BAD_VALUE.error(name=name, reason=error)) from None
        position = part.end()
        if text[position : position + 1] != ",":
            break
        position += 1
    if position != len(text) or len(values) != len(entity.keys):
        expected = ", ".join(f"{name}='…'" for name in entity.keys)
        raise BadRequestError(Sim.BAD_QUERY.error(option="key", reason=f"{expected} is expected"))
    return values


def _not_found(segment: str) -> ODataError:
    return ODataError(HTTPStatus.NOT_FOUND, Sim.RESOURCE_NOT_FOUND.error(segment=segment))
