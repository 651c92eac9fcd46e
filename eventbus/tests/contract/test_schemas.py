"""The written contract says what the code does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from eventbus.contract.examples import EXAMPLES
from eventbus.contract.schemas import event_schema, files, headers_schema
from eventbus.testing import an_event

WRITTEN = Path(__file__).parents[3] / "docs" / "contract"


def test_checked_in_contract_is_what_the_models_say() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in WRITTEN.iterdir()} == files(), (
        "run: python -m eventbus.contract.schemas docs/contract"
    )


@pytest.mark.parametrize("event_type", sorted(EXAMPLES))
def test_example_fits_its_schema(event_type: str) -> None:
    schema = event_schema(event_type)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(json.loads(EXAMPLES[event_type].encode()), schema, jsonschema.Draft7Validator)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", "North"),
        ("customer_name", ""),
        ("customer_name", "x" * 201),
        ("product_ids", []),
        ("product_ids", [0]),
        ("product_ids", [True]),
        ("product_ids", [1] * 501),
        ("product_ids", [2**53]),
        ("order_number", "A" * 36),
        ("created_at", 7),
    ],
)
def test_schema_refuses_what_would_be_parked(field: str, value: Any) -> None:
    event = json.loads(an_event().encode())
    event["data"][field] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event, event_schema("order.created"), jsonschema.Draft7Validator)


def test_schema_lets_unknown_fields_pass() -> None:
    event = json.loads(an_event().encode()) | {"ourowntag": 1}
    event["data"]["gift_wrap"] = True
    jsonschema.validate(event, event_schema("order.created"), jsonschema.Draft7Validator)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load(files()["asyncapi.yaml"])

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [r for value in node.values() for r in references(value)]
        return [r for value in node for r in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        if reference.startswith("./"):
            assert reference[2:] in files()
            continue
        node = document
        for word in reference.removeprefix("#/").split("/"):
            node = node[word]


def test_headers_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(headers_schema())


def test_contract_brings_neither_nameko_nor_eventlet_nor_a_database() -> None:
    program = "import sys, eventbus.contract; print([m for m in sys.modules if m.split('.')[0] in " + repr(
        ["nameko", "eventlet", "sqlalchemy", "pika", "amqp", "kombu"]
    )
    done = subprocess.run([sys.executable, "-c", program + "])"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
