"""The description of `POST /orders` in the API's document, made of the constants that the endpoint checks by."""

from typing import Any

from eventbus.contract.order import CUSTOMER_NAME_CHARACTERS_MAX, PRODUCT_ID_MAX, PRODUCT_IDS_MAX
from eventbus.contract.routing import REGION_PATTERN
from pydantic import BaseModel

from orders.gateway.parsing import (
    BODY_BYTES_MAX,
    IDEMPOTENCY_KEY_CHARACTERS_MAX,
    PRODUCT_IDS,
    PRODUCT_IDS_ALIAS,
)
from orders.gateway.problems import MEDIA_TYPE

EXAMPLE = {"customer_name": "Daníel", "product_ids": [2, 4, 42], "region": "north"}


def problem_schema() -> dict[str, Any]:
    """RFC 9457 problem details."""
    text = {"type": "string"}
    return {
        "title": "Problem",
        "description": "Problem details (RFC 9457)",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "examples": ["urn:order-bus:problem:invalid-order"]},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "errors": {
                "description": "the fields at fault, where there are any",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "detail", "pointer"],
                    "properties": {"field": text, "detail": text, "pointer": text},
                },
            },
        },
    }


def new_order_schema(default_region: str) -> dict[str, Any]:
    """The body of `POST /orders`."""
    ids = {
        "type": "array",
        "description": "as ordered; a repeat is quantity. Written as integers: 1.0 is refused",
        "items": {"type": "integer", "minimum": 1, "maximum": PRODUCT_ID_MAX},
        "minItems": 1,
        "maxItems": PRODUCT_IDS_MAX,
    }
    return {
        "title": "NewOrder",
        "type": "object",
        "properties": {
            "customer_name": {
                "type": "string",
                "description": "Code points, after trimming. Control characters and lone surrogates are refused.",
                "minLength": 1,
                "maxLength": CUSTOMER_NAME_CHARACTERS_MAX,
            },
            PRODUCT_IDS: ids,
            PRODUCT_IDS_ALIAS: ids | {"description": f"another spelling of {PRODUCT_IDS}", "deprecated": True},
            "region": {"type": "string", "pattern": REGION_PATTERN, "default": default_region},
        },
        "required": ["customer_name"],
        "oneOf": [{"required": [PRODUCT_IDS]}, {"required": [PRODUCT_IDS_ALIAS]}],
        "additionalProperties": False,
        "example": EXAMPLE,
    }


def problem_response(description: str) -> dict[str, Any]:
    """A documented answer with problem details."""
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def retry_later(description: str) -> dict[str, Any]:
    """A documented 503."""
    retry = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return problem_response(description) | {"headers": retry}


def answers_of_all() -> dict[str, Any]:
    """The documented answers that any request may get."""
    return {
        "431": problem_response("the request's head is too large"),
        "500": problem_response("the server failed, which it has logged"),
    }


def placed_order_schema(placed_order: type[BaseModel]) -> dict[str, Any]:
    """The answer to `POST /orders`: only reading the order tells how far it is."""
    schema = placed_order.model_json_schema(mode="serialization")
    schema["properties"]["status"] = {"title": "Status", "type": "string", "const": "received"}
    return schema


def place_order_operation() -> dict[str, Any]:
    """The operation object of `POST /orders`."""
    placed = {
        "headers": {"Location": {"description": "the order's path", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PlacedOrder"}}},
    }
    return {
        "tags": ["orders"],
        "summary": "Place an order",
        "description": "201 says that the order is stored; its event goes out right after. Send an Idempotency-Key "
        "and repeat the request when you do not hear an answer: there will be one order.",
        "operationId": "place_order",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same key with the same order gives the same answer again; with another order, 422.",
                "schema": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": IDEMPOTENCY_KEY_CHARACTERS_MAX,
                    "pattern": "^[!-~]+$",
                },
            },
            {
                "name": "traceparent",
                "in": "header",
                "required": False,
                "description": "W3C trace context, carried on in the event; ignored where malformed.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {
            "required": True,
            "description": f"JSON in UTF-8, {BODY_BYTES_MAX} bytes at most",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewOrder"}}},
        },
        "responses": {
            "201": {"description": "stored"} | placed,
            "200": {"description": "stored before, under the same Idempotency-Key"} | placed,
            "400": problem_response("not JSON in UTF-8, or a bad Idempotency-Key"),
            "413": problem_response("the body is too large"),
            "415": problem_response("not application/json, or compressed"),
            "422": problem_response("not an order, or the Idempotency-Key was used for another one"),
            "503": retry_later("not stored: try again; or outcome unknown: repeat with your key"),
        },
    }
