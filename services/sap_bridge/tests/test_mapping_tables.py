"""What the mapping's file may say, and the one line that it is refused with."""

from pathlib import Path

import pytest
from eventbus.contract.order import PRODUCT_ID_MAX
from eventbus.settings import SettingsError
from sap_bridge.mapping_tables import SalesArea, read_mapping, shipped_mapping

AREA = "{organization: 1710, channel: 10, division: 00, sold_to: 17100001}"


def refused(file: Path) -> str:
    with pytest.raises(SettingsError) as stopped:
        read_mapping(file)
    line = str(stopped.value)
    assert "\n" not in line
    assert line.startswith(f"{file}: ")
    return line.removeprefix(f"{file}: ")


def test_every_value_is_text_quoted_or_not(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(
        "sales_areas:\n"
        "  no: &area {organization: 1710, channel: '10', division: 00, sold_to: 0017100001}\n"
        "  '*': *area\n"
        "materials: {42: 007}\n"
    )

    tables = read_mapping(file)

    area = SalesArea(organization="1710", channel="10", division="00", sold_to="0017100001")
    assert tables.sales_areas == {"no": area, "*": area}
    assert tables.materials == {"42": "007"}


def test_shipped_file_maps_everything() -> None:
    tables = read_mapping(shipped_mapping())

    assert (list(tables.sales_areas), tables.materials) == (["*"], {"*": "{product_id}"})


@pytest.mark.parametrize(
    ("areas", "line"),
    [
        (f"{{north: {AREA}, north: {AREA}}}", "line 1: expected each key once, got north again"),
        (f"{{Nörth: {AREA}}}", "sales_areas: expected regions as a-z, 0-9 and -, or *, got: 'Nörth'"),
        ("{}", "sales_areas: expected a region or *, got: 'none'"),
        ("[north]", "sales_areas: expected a valid dictionary, got: ['north']"),
        ("{north: 1710}", "sales_areas.north: expected a valid dictionary or instance of SalesArea, got: '1710'"),
        (f"{{north: {AREA.replace('1710,', '17100,')}}}", "sales_areas.north.organization: expected 1 to 4 ASCII "
         "characters without blanks, got: '17100'"),
        (f"{{north: {AREA.replace('channel: 10', 'channel: ')}}}", "sales_areas.north.channel: expected 1 to 2 ASCII "
         "characters without blanks, got: ''"),
        (f"{{north: {AREA.replace('17100001', '17 1')}}}", "sales_areas.north.sold_to: expected 1 to 10 ASCII "
         "characters without blanks, got: '17 1'"),
        (f"{{north: {AREA.replace('division: 00, ', '')}}}", "sales_areas.north.division: expected a value, got none"),
        (f"{{north: {AREA.replace('division', 'divison')}}}", "sales_areas.north.division: expected a value, got none"),
        (f"{{north: {AREA.replace('}', ', plant: 1}')}}}", "sales_areas.north.plant: expected no such key, got one"),
        ("{north: {<<: {organization: 1710}}}", "sales_areas.north.organization: expected a value, got none"),
        ("{[north]: {}}", "line 1: expected text as a key"),
    ],
)  # fmt: skip
def test_wrong_sales_area_is_refused_with_file_key_expected_and_got(tmp_path: Path, areas: str, line: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(f"sales_areas: {areas}\nmaterials: {{2: TG11}}\n")

    assert refused(file) == line


@pytest.mark.parametrize(
    ("materials", "line"),
    [
        ("{2: A, 2: B}", "line 2: expected each key once, got 2 again"),
        ("{2: A, '2': B}", "line 2: expected each key once, got 2 again"),
        ("{}", "materials: expected a product id or *, got: 'none'"),
        ("'{product_id}'", "materials: expected a valid dictionary, got: '{product_id}'"),
        ("{'*': {product_id}}", "materials.*: expected a valid string, got: "),
        ("{two: A}", f"materials: expected product ids from 1 to {PRODUCT_ID_MAX} without leading zeros, or *, got: "
         "'two'"),
        ("{007: A}", f"materials: expected product ids from 1 to {PRODUCT_ID_MAX} without leading zeros, or *, got: "
         "'007'"),
        (f"{{{PRODUCT_ID_MAX + 1}: A}}", f"materials: expected product ids from 1 to {PRODUCT_ID_MAX} without leading "
         f"zeros, or *, got: '{PRODUCT_ID_MAX + 1}'"),
        ("{2: }", "materials.2: expected 1 to 40 ASCII characters without blanks around them, got: ''"),
        (f"{{2: {'X' * 41}}}", "materials.2: expected 1 to 40 ASCII characters without blanks around them, got: "),
        ("{2: 'A{product_id}'}", "materials.2: expected a material; only * is a template, got: 'A{product_id}'"),
        ("{'*': TG11}", "materials.*: expected a template with {product_id}: else every product is one material, got: "
         "'TG11'"),
        ("{'*': '{product}'}", "materials.*: expected a template with {product_id} and no other placeholder, got: "),
        ("{'*': '{}'}", "materials.*: expected a template with {product_id} and no other placeholder, got: "),
        ("{'*': '{product_id!r}'}", "materials.*: expected a template with {product_id} and no other placeholder"),
        ("{'*': '{product_id.real}'}", "materials.*: expected a template with {product_id} and no other placeholder"),
        ("{'*': '{product_id:.2e}'}", "materials.*: expected a template with {product_id}, or with leading zeros such "
         "as {product_id:08d}, got: "),
        ("{'*': '{product_id'}", "materials.*: expected a template (expected '}' before end of string), got: "),
        (f"{{'*': '{'X' * 30}{{product_id}}'}}", "materials.*: expected a template that makes 1 to 40 ASCII"),
    ],
)  # fmt: skip
def test_wrong_material_is_refused_with_file_key_expected_and_got(tmp_path: Path, materials: str, line: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(f"sales_areas: {{'*': {AREA}}}\nmaterials: {materials}\n")

    assert refused(file).startswith(line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "expected sales_areas and materials, got: nothing"),
        (b"- north\n", "expected sales_areas and materials, got: list"),
        (b"sales_areas: {'*': {}\n", "line 2: expected ',' or '}', but got '<stream end>'"),
        (b"materials: {2: TG11}\n", "sales_areas: expected a value, got none"),
        (b"sales_areas: {}\nmaterials: {}\nmaterial: {}\n", "material: expected no such key, got one"),
        (b"\xff\xfe\x00", "expected YAML, got: 'utf-8' codec can't decode"),
        (b"a: \x07\n", "expected YAML, got: unacceptable character"),
        (b"&a [*a]\n", "line 1: found unconstructable recursive node"),
    ],
)
def test_file_that_holds_no_tables_is_refused(tmp_path: Path, content: bytes, line: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_bytes(content)

    assert refused(file).startswith(line)


def test_brackets_too_deep_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text("sales_areas: " + "[" * 500)

    assert refused(file) == "expected tables, got: brackets nested too deep"
