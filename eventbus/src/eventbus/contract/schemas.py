"""The contract for authors in any language: AsyncAPI 3 and JSON Schema, made from the models that the code uses.

    python -m eventbus.contract.schemas docs/contract

writes `asyncapi.yaml`, `<type>.schema.json` for the body of each event type, and `headers.schema.json`. A test
compares what is checked in with what this would write.
"""

import argparse
import json
from pathlib import Path
from typing import Any, get_args

import yaml

from eventbus.contract._text import rfc3339
from eventbus.contract.envelope import CONTENT_TYPE, DATA_MODELS, QUALIFYING_FIELD, Envelope
from eventbus.contract.examples import EXAMPLES
from eventbus.contract.headers import COUNT_MAX, REASON_CHARACTERS_MAX, ReasonClass
from eventbus.contract.routing import ROUTING_KEY_BYTES_MAX

SCHEMA_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect that every AsyncAPI 3 tool must read."""
CONTRACT_VERSION = "1.0.0"
_SENT_BY_DEPARTMENTS = ("order.progressed", "department.joined")
_DESCRIPTION = """\
What travels on the topic exchange `events`, as a department sees it: it hears of orders and reports how far it is.
Every message is a CloudEvents 1.0 event in structured JSON mode. Delivery is at least once and unordered; the ids are
derived, so a repeat has the same id. Readers ignore attributes, data fields and headers that they do not know.
The rules that a schema cannot say are in docs/contract.md, the queues in docs/joining.md.
"""


def files() -> dict[str, str]:
    """Name and content of each file of the written contract."""
    written = {f"{event_type}.schema.json": _json(event_schema(event_type)) for event_type in DATA_MODELS}
    written["headers.schema.json"] = _json(headers_schema())
    written["asyncapi.yaml"] = _yaml(asyncapi())
    return written


def event_schema(event_type: str) -> dict[str, Any]:
    """JSON Schema of the body of a message of that type."""
    envelope = _tidy(Envelope.model_json_schema())
    properties = envelope["properties"]
    properties["type"] = {"type": "string", "const": event_type}
    properties["data"] = _tidy(DATA_MODELS[event_type].model_json_schema())
    if not event_type.startswith("order."):
        del properties["sequence"]
    return {
        "$schema": SCHEMA_DIALECT,
        "title": event_type,
        "description": f"Body of a message of type {event_type}: a CloudEvents 1.0 event. Unknown fields are ignored.",
        **{key: envelope[key] for key in ("type", "required", "properties")},
        "examples": [json.loads(EXAMPLES[event_type].encode())],
    }


def headers_schema() -> dict[str, Any]:
    """JSON Schema of our AMQP headers."""
    moment = {"type": "string", "format": "date-time"}
    return {
        "$schema": SCHEMA_DIALECT,
        "title": "bus- headers",
        "description": "All optional and untrusted: an ill-typed one counts as absent and is no reason to park.",
        "type": "object",
        "properties": {
            "bus-attempt": {
                "type": "integer",
                "minimum": 1,
                "maximum": COUNT_MAX,
                "description": "counts failures: 1 at the first",
            },
            "bus-crashes": {
                "type": "integer",
                "minimum": 1,
                "maximum": COUNT_MAX,
                "description": "how often it was in hand when a worker died, before it was last published again",
            },
            "bus-routing-key": {
                "type": "string",
                "maxLength": ROUTING_KEY_BYTES_MAX,
                "description": "the original one; believed only on a delivery that came through `departments`",
            },
            "bus-reason": {
                "type": "string",
                "maxLength": REASON_CHARACTERS_MAX,
                "description": "one line without personal data",
            },
            "bus-reason-class": {"enum": list(get_args(ReasonClass))},
            "bus-first-failed-at": moment,
            "bus-parked-at": moment,
            "bus-not-before": {**moment, "description": "earliest time of the next try"},
            "bus-replay": {"const": True, "description": "history, sent again on request"},
            "bus-headers-dropped": {"const": True, "description": "other headers left no room for these in a frame"},
        },
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3 document of a department."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Order bus",
            "version": CONTRACT_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {_camel(event_type): _channel(event_type) for event_type in DATA_MODELS},
        "operations": {
            f"{_action(event_type)}{_camel(event_type, first_upper=True)}": {
                "action": _action(event_type),
                "channel": {"$ref": f"#/channels/{_camel(event_type)}"},
                "messages": [{"$ref": f"#/channels/{_camel(event_type)}/messages/event"}],
            }
            for event_type in DATA_MODELS
        },
        "components": {"messages": {_camel(event_type): _message(event_type) for event_type in DATA_MODELS}},
    }


def _channel(event_type: str) -> dict[str, Any]:
    qualifier = QUALIFYING_FIELD[event_type]
    example = getattr(EXAMPLES[event_type].data, qualifier)
    return {
        "address": f"{event_type}.{{{qualifier}}}",
        "description": DATA_MODELS[event_type].__doc__,
        "parameters": {qualifier: {"description": f"equal to data.{qualifier}", "examples": [example]}},
        "messages": {"event": {"$ref": f"#/components/messages/{_camel(event_type)}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": "events", "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"},
                "bindingVersion": "0.3.0",
            }
        },
    }


def _message(event_type: str) -> dict[str, Any]:
    example = EXAMPLES[event_type]
    return {
        "name": event_type,
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "./headers.schema.json"},
        "payload": {"$ref": f"./{event_type}.schema.json"},
        "bindings": {"amqp": {"messageType": event_type, "bindingVersion": "0.3.0"}},
        "examples": [
            {
                "summary": f"of {rfc3339(example.time)}" if example.time else event_type,
                "payload": json.loads(example.encode()),
            }
        ],
    }


def _action(event_type: str) -> str:
    return "send" if event_type in _SENT_BY_DEPARTMENTS else "receive"


def _camel(event_type: str, *, first_upper: bool = False) -> str:
    words = "".join(word.capitalize() for word in event_type.split("."))
    return words if first_upper else words[0].lower() + words[1:]


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing to a reader: titles made from names, and `null` as default."""
    tidied = {}
    for key, value in schema.items():
        if key == "properties":
            tidied[key] = {name: _tidy(inner) for name, inner in value.items()}
        elif not (key == "title" or (key == "default" and value in (None, []))):
            tidied[key] = value
    return tidied


def _json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m eventbus.contract.schemas", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/contract"))
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
