"""The document of the API (OpenAPI 3.1), made of the constants that the answers are made of."""

from importlib.metadata import version
from typing import Any, get_args

from marketing.csv_table import CONTENT_TYPE, MEASURES
from marketing.period import DAYS_BY_HOUR_MAX, DAYS_MAX, DEFAULT_DAYS, FIRST_DAY, LAST_DAY, GroupBy

_PROBLEM = "application/problem+json"
_KEYS: dict[str, dict[str, Any]] = {
    "day": {"type": "string", "format": "date", "description": "a local day"},
    "hour": {"type": "string", "format": "date-time", "description": "when the hour begins, with the zone's offset"},
    "week": {
        "type": "string",
        "format": "date",
        "description": "the week's Monday; of the first and the last week, what lies in the period is counted",
    },
    "month": {
        "type": "string",
        "format": "date",
        "description": "the month's first day; of the first and the last month, what lies in the period is counted",
    },
    "region": {"type": "string"},
    "product": {"type": "integer", "minimum": 1},
}
_MEANINGS = {
    "orders": "orders placed; of a product, those that contain it",
    "items": "products ordered: one ordered twice is two items",
    "customers": "different customers, of the group and of the period",
    "new_customers": "of the customers, those who had never ordered (in that group) before; not told by hour",
}


def document() -> dict[str, Any]:
    """The whole document, ready for JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Marketing's numbers",
            "version": version("order-bus-marketing"),
            "description": "Orders, items and customers, counted by local days of the business's time zone.",
        },
        "paths": {"/stats": {"get": _stats()}},
        "components": {"schemas": {"Stats": _stats_schema(), "Problem": _problem_schema()}},
    }


def _stats() -> dict[str, Any]:
    return {
        "operationId": "readStats",
        "summary": "The numbers of a period, in groups",
        "parameters": [
            _parameter("from", _day(), f"first local day, included; without it {DEFAULT_DAYS} days up to `to`"),
            _parameter("to", _day(), "last local day, included; without it today"),
            _parameter(
                "group_by",
                {"enum": list(get_args(GroupBy)), "default": "day"},
                f"A period has at most {DAYS_MAX} days, by hour {DAYS_BY_HOUR_MAX}.",
            ),
            _parameter("format", {"enum": ["json", "csv"]}, "without it the Accept header decides, else JSON"),
        ],
        "responses": {
            "200": {
                "description": "the numbers",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Stats"}},
                    "text/csv": {
                        "schema": {"type": "string"},
                        "example": "day,orders,items,customers,new_customers\r\n2026-11-24,3,7,2,2\r\n",
                    },
                },
                "headers": {
                    "Content-Disposition": {
                        "description": f"with CSV ({CONTENT_TYPE}): a file name that holds the period",
                        "schema": {"type": "string"},
                    }
                },
            },
            "400": _problem("a wrong parameter; `parameter` names it"),
            "405": _problem("only GET and HEAD are answered"),
            "503": _problem("the database does not answer; Retry-After says when to ask again"),
        },
    }


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _day() -> dict[str, Any]:
    return {"type": "string", "format": "date", "description": f"from {FIRST_DAY} to {LAST_DAY}"}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _stats_schema() -> dict[str, Any]:
    measures = {name: {"type": "integer", "minimum": 0, "description": _MEANINGS[name]} for name in MEASURES}
    groupings = get_args(GroupBy)
    return {
        "type": "object",
        "required": ["timezone", "from", "to", "group_by", *MEASURES, "groups"],
        "additionalProperties": False,
        "properties": {
            "timezone": {"type": "string", "description": "IANA name", "examples": ["Europe/Berlin"]},
            "from": _day(),
            "to": _day(),
            "group_by": {"enum": list(groupings)},
            **measures,
            "groups": {"type": "array", "items": {"oneOf": [_group(by, measures) for by in groupings]}},
        },
    }


def _group(group_by: str, measures: dict[str, Any]) -> dict[str, Any]:
    told = {name: schema for name, schema in measures.items() if (group_by, name) != ("hour", "new_customers")}
    return {
        "title": f"By {group_by}",
        "type": "object",
        "required": [group_by, *told],
        "additionalProperties": False,
        "properties": {group_by: _KEYS[group_by], **told},
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "description": "Problem details (RFC 9457)",
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "parameter": {"type": "string", "description": "the query parameter that is wrong"},
        },
    }
