"""Which call a request is, and which orders it is about: what the rules of the plan are compared with."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from starlette.requests import Request

from sap_sandbox import filter as odata_filter
from sap_sandbox.faults.kinds import Call
from sap_sandbox.schema import ENTITY_TYPES, SALES_ORDER

REFERENCE = "PurchaseOrderByCustomer"


@dataclass(frozen=True)
class Identified:
    """A call."""

    call: Call
    _found: Callable[[], Iterable[str]] = tuple

    @cached_property
    def references(self) -> tuple[str, ...]:
        """Of the order that is sent, or that the look-up's filter names; read where somebody asks."""
        return tuple(self._found())


def identify(request: Request, path: str, body: bytes) -> Identified | None:
    """The call; None for what no fault can hit, such as `$metadata`. Nothing is checked here."""
    if path == "":
        return Identified(Call.LOGIN) if request.method in ("GET", "HEAD") else None
    if path == SALES_ORDER.set_name and request.method == "POST":
        return Identified(Call.CREATE, partial(_reference_sent, body))
    if path.partition("(")[0].partition("/")[0] in ENTITY_TYPES and request.method == "GET":
        return Identified(Call.LOOK_UP, partial(_references_asked, request))
    return None


def _reference_sent(body: bytes) -> Iterator[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # the service will refuse it in its own words
        return
    reference = document.get(REFERENCE) if isinstance(document, dict) else None
    if isinstance(reference, str):
        yield reference


def _references_asked(request: Request) -> Iterator[str]:
    try:
        condition = odata_filter.parse(request.query_params.get("$filter", ""), SALES_ORDER)
    except odata_filter.FilterError:  # none, or one that the service will refuse in its own words
        return
    yield from _references(condition)


def _references(condition: odata_filter.Condition) -> Iterator[str]:
    if isinstance(condition, odata_filter.Combination):
        for term in condition.terms:
            yield from _references(term)
    elif isinstance(condition, odata_filter.Comparison):
        is_equal = condition.prop.name == REFERENCE and condition.operator == "eq"
        if is_equal and isinstance(condition.value, str):
            yield condition.value
