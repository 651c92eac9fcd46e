"""The mapping's tables, read from YAML and checked at start: regions to sales areas, products to materials.

Every scalar is text (`00` stays `00`, the region `no` is no boolean), and a key that stands twice is refused: YAML's
usual readers take the last one.
"""

import re
from collections.abc import Hashable, Iterator
from functools import partial
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from eventbus.contract.order import PRODUCT_ID_MAX
from eventbus.contract.routing import REGION_PATTERN
from eventbus.settings import Settings, SettingsError, config_path, validated

ANY = "*"
"""Stands for every region, or every product, that has no row of its own."""
MATERIAL_CHARACTERS_MAX = 40
SALES_AREA_CHARACTERS_MAX = {"organization": 4, "channel": 2, "division": 2, "sold_to": 10}

_PRODUCT_ID = re.compile(r"[1-9][0-9]{0,15}")
_FORMAT = re.compile(r"(0[0-9]{1,2}d?)?")
"""Of a template: other formats (`.2e`) could make one material of two products."""


class SalesArea(Settings):
    """Where orders of a region are booked, and for which business partner."""

    organization: str
    channel: str
    division: str
    sold_to: str


class MappingTables(Settings):
    """What the mapping's file may hold."""

    sales_areas: dict[str, SalesArea]
    materials: dict[str, str]
    """By product id; `*` is a template."""


def shipped_mapping() -> Path:
    """The file that is taken where none is named: `mapping.yaml` beside the shipped `config.yaml`."""
    return config_path("sap_bridge", {}).with_name("mapping.yaml")


def read_mapping(path: Path) -> MappingTables:
    """The tables in that file.

    Raises:
        SettingsError: one line with the file, the key, what was expected and what was got.
    """
    tables = validated(MappingTables, _document(path), path)
    for key, expected, got in (*_problems_of_areas(tables), *_problems_of_materials(tables)):
        raise SettingsError(f"{path}: {key}: expected {expected}, got: {got!r}")
    return tables


class _TextLoader(yaml.BaseLoader):
    """Reads every scalar as text, and each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem="expected text as a key", problem_mark=key_node.start_mark)
            if key in seen:
                problem = f"expected each key once, got {key} again"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _TextLoader)  # noqa: S506 - makes nothing but text
    except OSError as error:
        raise SettingsError(f"{path}: expected a readable YAML file, got: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise SettingsError(f"{path}: {line}{error.problem or 'expected YAML'}") from error
    except RecursionError:
        raise SettingsError(f"{path}: expected tables, got: brackets nested too deep") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise SettingsError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        got = "nothing" if document is None else type(document).__name__
        raise SettingsError(f"{path}: expected sales_areas and materials, got: {got}")
    return document


Problem = tuple[str, str, str]
"""Key, expected, got."""


def _problems_of_areas(tables: MappingTables) -> Iterator[Problem]:
    if not tables.sales_areas:
        yield "sales_areas", f"a region or {ANY}", "none"
    for region, area in tables.sales_areas.items():
        if region != ANY and not re.fullmatch(REGION_PATTERN, region):
            yield "sales_areas", f"regions as a-z, 0-9 and -, or {ANY}", region
        for field, longest in SALES_AREA_CHARACTERS_MAX.items():
            value = getattr(area, field)
            if not re.fullmatch(rf"[!-~]{{1,{longest}}}", value):
                yield f"sales_areas.{region}.{field}", f"1 to {longest} ASCII characters without blanks", value


def _problems_of_materials(tables: MappingTables) -> Iterator[Problem]:
    if not tables.materials:
        yield "materials", f"a product id or {ANY}", "none"
    for product, material in tables.materials.items():
        if product == ANY:
            yield from _problems_of_template(material)
        elif not _PRODUCT_ID.fullmatch(product) or int(product) > PRODUCT_ID_MAX:
            yield "materials", f"product ids from 1 to {PRODUCT_ID_MAX} without leading zeros, or {ANY}", product
        elif "{" in material or "}" in material:
            yield f"materials.{product}", f"a material; only {ANY} is a template", material
        elif not _is_material(material):
            yield f"materials.{product}", _A_MATERIAL, material


_A_MATERIAL = f"1 to {MATERIAL_CHARACTERS_MAX} ASCII characters without blanks around them"


def _problems_of_template(template: str) -> Iterator[Problem]:
    problem = partial(_problem, f"materials.{ANY}", template)
    try:
        fields = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        yield problem(f"a template ({error})")
        return
    if not fields:
        yield problem("a template with {product_id}: else every product is one material")
        return
    for _, name, spec, conversion in fields:
        if name != "product_id" or conversion:
            yield problem("a template with {product_id} and no other placeholder")
            return
        if not _FORMAT.fullmatch(spec or ""):
            yield problem("a template with {product_id}, or with leading zeros such as {product_id:08d}")
            return
    if not all(_is_material(template.format(product_id=product_id)) for product_id in (1, PRODUCT_ID_MAX)):
        yield problem(f"a template that makes {_A_MATERIAL} of every product id, up to {PRODUCT_ID_MAX}")


def _problem(key: str, got: str, expected: str) -> Problem:
    return key, expected, got


def _is_material(material: str) -> bool:
    return re.fullmatch(rf"[!-~]([ -~]{{0,{MATERIAL_CHARACTERS_MAX - 2}}}[!-~])?", material) is not None
