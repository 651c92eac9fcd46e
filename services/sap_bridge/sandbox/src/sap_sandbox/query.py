"""The system query options of a request (`$filter`, `$select`, …). What is not supported is refused, never ignored."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sap_sandbox import filter as odata_filter
from sap_sandbox.errors import BadRequestError
from sap_sandbox.messages import Sim
from sap_sandbox.schema import ENTITY_TYPES, EntityType, Property

OPTIONS_OF_A_SET = frozenset({"$filter", "$select", "$orderby", "$top", "$skip", "$inlinecount", "$expand", "$format"})
OPTIONS_OF_AN_ENTITY = frozenset({"$select", "$expand", "$format"})
OPTIONS_OF_A_COUNT = frozenset({"$filter"})
OPTIONS_OF_A_WRITE = frozenset({"$format"})

ROWS_MAX = 1_000_000_000
"""A larger `$top` or `$skip` is refused."""
_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class Query:
    """The options, parsed. Order is by key where nothing is asked.

    `selected` maps "" to the chosen names of the entity itself and a navigation's name to those of its entities;
    a missing key is everything.
    """

    where: odata_filter.Condition | None
    order_by: tuple[tuple[Property, bool], ...]
    top: int | None
    skip: int
    counts: bool
    selected: dict[str, frozenset[str]]
    expanded: tuple[str, ...]


def system_options(items: Iterable[tuple[str, str]], allowed: frozenset[str]) -> dict[str, str]:
    """The options that begin with `$`; others (`sap-client`, …) are not OData's and are left alone.

    Raises:
        BadRequestError: an option that is not allowed here, or given twice.
    """
    options: dict[str, str] = {}
    for name, value in items:
        if not name.startswith("$"):
            continue
        if name not in allowed:
            raise _refused(name, "not supported here")
        if name in options:
            raise _refused(name, "given twice")
        options[name] = value
    if options.get("$format", "json") != "json":
        raise _refused("$format", "only json is supported")
    return options


def parse(options: dict[str, str], entity: EntityType) -> Query:
    """The query that the options state about entities of that type.

    Raises:
        BadRequestError: an option that cannot be parsed, names what does not exist, or is not supported.
    """
    expanded = _expanded(options, entity)
    counting = options.get("$inlinecount", "none")
    if counting not in ("none", "allpages"):
        raise _refused("$inlinecount", "none or allpages is expected")
    return Query(
        where=_where(options, entity),
        order_by=_order_by(options, entity),
        top=_number(options, "$top"),
        skip=_number(options, "$skip") or 0,
        counts=counting == "allpages",
        selected=_selected(options, entity, expanded),
        expanded=expanded,
    )


def _where(options: dict[str, str], entity: EntityType) -> odata_filter.Condition | None:
    if "$filter" not in options:
        return None
    try:
        return odata_filter.parse(options["$filter"], entity)
    except odata_filter.FilterError as error:
        raise _refused("$filter", str(error)) from None


def _order_by(options: dict[str, str], entity: EntityType) -> tuple[tuple[Property, bool], ...]:
    order = []
    for part in _listed(options, "$orderby"):
        name, *direction = part.split()
        prop = entity.find(name)
        if prop is None or direction not in ([], ["asc"], ["desc"]):
            raise _refused("$orderby", f"a property of {entity.set_name} with asc or desc is expected, got {part!r}")
        order.append((prop, direction == ["desc"]))
    return tuple(order)


def _expanded(options: dict[str, str], entity: EntityType) -> tuple[str, ...]:
    names = _listed(options, "$expand")
    for name in names:
        if name not in entity.navigations:
            raise _refused("$expand", f"{name!r} is no navigation of {entity.set_name}, or not supported")
    return tuple(dict.fromkeys(names))


def _selected(options: dict[str, str], entity: EntityType, expanded: tuple[str, ...]) -> dict[str, frozenset[str]]:
    paths: dict[str, set[str]] = {}
    whole: set[str] = set()
    for path in _listed(options, "$select"):
        navigation, slash, name = path.rpartition("/")
        if slash and navigation not in expanded:
            raise _refused("$select", f"{path!r} needs $expand={navigation}")
        target = ENTITY_TYPES[entity.navigations[navigation]] if slash else entity
        if name == "*":
            whole.add(navigation)
        elif not target.find(name) and name not in target.navigations:
            raise _refused("$select", f"{name!r} is no property of {target.set_name}")
        elif name in expanded and not slash:
            whole.add(name)
        paths.setdefault(navigation, set()).add(name)
        if slash:
            paths.setdefault("", set()).add(navigation)
    return {navigation: frozenset(names) for navigation, names in paths.items() if navigation not in whole}


def _number(options: dict[str, str], name: str) -> int | None:
    if name not in options:
        return None
    if not _NUMBER.fullmatch(options[name]) or int(options[name]) > ROWS_MAX:
        raise _refused(name, f"a whole number from 0 to {ROWS_MAX} is expected")
    return int(options[name])


def _listed(options: dict[str, str], name: str) -> list[str]:
    if name not in options:
        return []
    parts = [part.strip() for part in options[name].split(",")]
    if not all(parts):
        raise _refused(name, "an empty entry")
    return parts


def _refused(option: str, reason: str) -> BadRequestError:
    return BadRequestError(Sim.BAD_QUERY.error(option=option, reason=reason))
