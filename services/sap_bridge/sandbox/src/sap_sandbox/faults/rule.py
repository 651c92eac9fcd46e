"""A rule of the fault plan, read from JSON and checked field by field."""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sap_sandbox.faults.identify import Identified
from sap_sandbox.faults.kinds import KINDS, Call, Kind, Moment
from sap_sandbox.work_processes import LATENCY_MAX_S

COUNT_MAX = 1_000_000
RETRY_AFTER_S_MAX = 86_400
EVERY_RULE = ("fault", "call", "reference", "count", "probability")


class RuleError(ValueError):
    """The rule is wrong.

    Attributes:
        field: the field that is at fault; empty where the rule is no object.
        choices: what could stand there, if that is a list.
    """

    def __init__(self, field: str, reason: str, choices: Iterable[str] = ()) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field, self.choices = field, tuple(choices)


class RetryAfterForm(StrEnum):
    """How `Retry-After` is written; RFC 9110 allows both."""

    SECONDS = "seconds"
    DATE = "date"


class BodyForm(StrEnum):
    """What stands in the body: a page of a proxy, a bare text, or SAP's own error."""

    HTML = "html"
    TEXT = "text"
    SAP = "sap"


class Rule(BaseModel):
    """Which calls a fault hits, how often, and the fault's own figures.

    Without `count` and `probability` it hits every call that fits; with both, each at that probability, `count` times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    fault: str
    call: Annotated[Call, Field(strict=False)] = Call.CREATE
    reference: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The order's `PurchaseOrderByCustomer`; `*` stands for any characters."""
    count: int | None = Field(default=None, ge=1, le=COUNT_MAX)
    probability: float | None = Field(default=None, gt=0, le=1)
    seconds: float | None = Field(default=None, gt=0, le=LATENCY_MAX_S)
    every_s: float | None = Field(default=None, ge=0.05, le=86_400)
    status: int | None = Field(default=None, ge=200, le=599)
    after_commit: bool = False
    body_as: Annotated[BodyForm, Field(strict=False)] = BodyForm.HTML
    retry_after: int | None = Field(default=None, ge=0, le=RETRY_AFTER_S_MAX)
    retry_after_as: Annotated[RetryAfterForm, Field(strict=False)] = RetryAfterForm.SECONDS

    @property
    def kind(self) -> Kind:
        """What this rule's fault is."""
        return KINDS[self.fault]

    @property
    def is_after_commit(self) -> bool:
        """Whether the order is booked before the fault strikes."""
        return self.after_commit or self.kind.moment is Moment.AFTER

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(".*".join(re.escape(part) for part in (self.reference or "*").split("*")), re.DOTALL)

    def fits(self, call: Identified) -> bool:
        """Whether the rule can hit this call."""
        if call.call is not self.call or self.every_s is not None:
            return False
        return self.reference is None or any(self._pattern.fullmatch(reference) for reference in call.references)

    def as_json(self) -> dict[str, Any]:
        """The fields that were given, and the call where it is one that makes the rule strike."""
        call = {"call": str(self.call)} if self.every_s is None else {}
        return {"fault": self.fault} | call | self.model_dump(mode="json", exclude_unset=True)


def read(document: Any) -> Rule:
    """The rule that the JSON document states.

    Raises:
        RuleError: a field is unknown, missing, of another type, out of bounds, or none of this fault's.
    """
    if not isinstance(document, dict):
        raise RuleError("", "one JSON object is expected")
    name = document.get("fault")
    if not isinstance(name, str) or name not in KINDS:
        _refuse("fault", name, KINDS)
    kind = KINDS[name]
    own = {*EVERY_RULE, *kind.needs, *kind.takes}
    for field in document:
        if field not in own:
            where = f"{name} has no such field" if field in Rule.model_fields else "no such field"
            raise RuleError(field, f"{where}; it has {', '.join(_in_order(own))}", _in_order(own))
    try:
        rule = Rule.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        expected = first["msg"].removeprefix("Input should be ")
        raise RuleError(field, f"expected {expected}, got {document[field]!r:.100}", _choices(field)) from None
    _check_together(rule, document)
    return rule


def _check_together(rule: Rule, document: dict[str, Any]) -> None:
    for field in sorted(rule.kind.needs):
        if document.get(field) is None:
            raise RuleError(field, f"{rule.fault} needs it")
    if rule.call not in rule.kind.calls:
        _refuse("call", str(rule.call), (str(call) for call in rule.kind.calls))
    if rule.after_commit and rule.call is not Call.CREATE:
        raise RuleError("after_commit", f"a {rule.call} books nothing")
    if rule.reference is not None and rule.call is Call.LOGIN:
        raise RuleError("reference", "a login is about no order")
    if rule.every_s is not None:
        for field in ("call", "reference", "probability"):
            if field in document:
                raise RuleError(field, "with every_s the clock decides, not a call")


def _refuse(field: str, got: Any, choices: Iterable[str]) -> NoReturn:
    listed = tuple(choices)
    raise RuleError(field, f"expected one of {', '.join(listed)}; got {got!r:.100}", listed)


def _choices(field: str) -> tuple[str, ...]:
    choices = {"call": tuple(Call), "body_as": tuple(BodyForm), "retry_after_as": tuple(RetryAfterForm)}
    return choices.get(field, ())


def _in_order(fields: Iterable[str]) -> tuple[str, ...]:
    wanted = set(fields)
    return tuple(name for name in Rule.model_fields if name in wanted)
