"""The sandbox's own messages. Codes are `SIM/nnn`: invented SAP codes would teach a client the wrong ones."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal


@dataclass(frozen=True)
class Message:
    """One message: a code, a text for people, the property it is about, and how bad it is."""

    code: str
    text: str
    target: str = ""
    severity: Literal["error", "warning"] = "error"

    def as_error_detail(self) -> dict[str, object]:
        """As it stands in an error's `errordetails`."""
        return {
            "ContentID": "",
            "code": self.code,
            "message": self.text,
            "propertyref": "",
            "severity": self.severity,
            "transition": False,
            "target": self.target,
        }

    def as_sap_message(self) -> dict[str, object]:
        """As it stands in the header `sap-message` of a success."""
        return {"code": self.code, "message": self.text, "severity": self.severity, "target": self.target}


class Sim(Enum):
    """Number and text of every message. 0xx: the request, 1xx: the order, 2xx: warnings, 3xx: what is not simulated."""

    MALFORMED_BODY = ("001", "The request body is not acceptable: {reason}")
    UNKNOWN_PROPERTY = ("002", "Property {name} is not known to {entity}")
    BAD_VALUE = ("003", "Invalid value of property {name}: {reason}")
    NOT_DEEP = ("004", "Sales order without items: you must use deep insert requests with to_Item")
    MISSING = ("005", "Property {name} of {entity} is required")
    BAD_QUANTITY = ("006", "RequestedQuantity must be greater than zero")
    TWICE = ("007", "{entity} {key} occurs twice")
    BAD_QUERY = ("008", "Query option {option} is not acceptable: {reason}")
    RESOURCE_NOT_FOUND = ("009", "Resource not found for the segment '{segment}'")
    ENTITY_NOT_FOUND = ("010", "{entity} with the specified key does not exist")
    BAD_MEDIA_TYPE = ("011", "The body must be application/json, got {got}")
    NOT_ACCEPTABLE = ("012", "The sandbox answers in JSON only: send Accept: application/json or $format=json")
    METHOD_NOT_ALLOWED = ("013", "{method} is not allowed here")

    UNKNOWN_ORDER_TYPE = ("101", "Sales document type {value} is not defined")
    UNKNOWN_SALES_AREA = ("102", "Sales area {value} is not defined")
    BLOCKED_SALES_AREA = ("103", "Sales area {value} is blocked")
    UNKNOWN_CUSTOMER = ("104", "Customer {value} is not defined")
    BLOCKED_CUSTOMER = ("105", "Customer {value} is blocked for orders")
    UNKNOWN_MATERIAL = ("106", "Material {value} is not defined")
    BLOCKED_MATERIAL = ("107", "Material {value} is blocked for sales")
    UNKNOWN_TEXT_ID = ("108", "Text {value} is not defined")
    NO_EXTERNAL_NUMBERS = ("110", "Sales order {value}: external number assignment is not allowed")
    OUTSIDE_RANGE = ("111", "Sales order {value} is outside the external number range")
    NUMBER_TAKEN = ("112", "Sales order {value} already exists")
    RANGE_USED_UP = ("113", "The internal number range is used up")
    LOCKED = ("120", "Sales data of this customer is currently being processed by user {user}")
    REFUSED_BY_RULE = ("121", "Refused with {status} by a rule of the fault plan")

    READ_ONLY_IGNORED = ("201", "Property {name} cannot be set and was ignored")
    INCOMPLETE = ("202", "The document is incomplete: item {item} has no price")

    NOT_SIMULATED = ("301", "{what} is not simulated by the sandbox")

    def error(self, target: str = "", **values: object) -> Message:
        """This message as an error, with its text filled in."""
        number, template = self.value
        return Message(f"SIM/{number}", template.format(**values), target)

    def warning(self, **values: object) -> Message:
        """This message as a warning, with its text filled in."""
        number, template = self.value
        return Message(f"SIM/{number}", template.format(**values), severity="warning")
