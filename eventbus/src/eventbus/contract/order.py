"""Events about orders: `order.created.<region>` and `order.progressed.<department>`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictInt,
    StrictStr,
)

from eventbus.contract._text import check_text, parse_rfc3339, rfc3339
from eventbus.contract.routing import DEPARTMENT_PATTERN, REGION_PATTERN

CUSTOMER_NAME_CHARACTERS_MAX = 200
PRODUCT_IDS_MAX = 500
PRODUCT_ID_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259 section 6)."""
ORDER_NUMBER_CHARACTERS_MAX = 35
"""SAP's PurchaseOrderByCustomer holds no more."""
DETAIL_CHARACTERS_MAX = 500
REFERENCE_CHARACTERS_MAX = 255
CAUSE_TYPE_CHARACTERS_MAX = 64


def check_customer_name(name: str) -> str:
    """The name without surrounding white space.

    Raises ValueError when nothing or more than 200 characters (code points) are left, or for a control character or
    a lone surrogate inside.
    """
    name = name.strip()
    if not 1 <= len(name) <= CUSTOMER_NAME_CHARACTERS_MAX:
        raise ValueError(f"must have 1 to {CUSTOMER_NAME_CHARACTERS_MAX} characters, has {len(name)}")
    return check_text(name)


Moment = Annotated[
    datetime,
    BeforeValidator(lambda value: value if isinstance(value, datetime) else parse_rfc3339(value)),
    PlainSerializer(rfc3339, return_type=str),
]
Region = Annotated[StrictStr, Field(pattern=REGION_PATTERN)]
DepartmentName = Annotated[StrictStr, Field(pattern=DEPARTMENT_PATTERN)]
OrderNumber = Annotated[
    StrictStr, Field(pattern=r"^[A-Za-z0-9-]+$", min_length=1, max_length=ORDER_NUMBER_CHARACTERS_MAX)
]
ProductId = Annotated[StrictInt, Field(ge=1, le=PRODUCT_ID_MAX)]
ProductIds = Annotated[tuple[ProductId, ...], Field(min_length=1, max_length=PRODUCT_IDS_MAX)]
CustomerName = Annotated[
    StrictStr,
    AfterValidator(check_customer_name),
    Field(json_schema_extra={"minLength": 1, "maxLength": CUSTOMER_NAME_CHARACTERS_MAX}),
]
State = Literal["waiting", "attention", "done"]
STATE_RANKS: dict[State, int] = {"waiting": 1, "attention": 2, "done": 3}
"""The tracker merges by rank; `done` is final."""


class OrderCreated(BaseModel):
    """Data of `order.created`: an order that the shop has accepted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    order_number: OrderNumber = Field(description="with dashes, 7KQ2-M9XD-4TWE")
    customer_name: CustomerName
    product_ids: ProductIds = Field(description="as ordered; a repeat is quantity")
    region: Region = Field(description="equal to the routing key's third word")
    created_at: Moment = Field(description="RFC 3339, UTC, milliseconds")


class OrderProgressed(BaseModel):
    """Data of `order.progressed`: how far a department has come with an order."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    order_number: OrderNumber
    department: DepartmentName = Field(description="equal to the routing key's third word")
    state: State
    cause_id: StrictStr | None = Field(
        default=None, min_length=1, max_length=255, description="id of the event it answers"
    )
    cause_type: StrictStr = Field(default="order.created", min_length=1, max_length=CAUSE_TYPE_CHARACTERS_MAX)
    reference: StrictStr | None = Field(
        default=None, max_length=REFERENCE_CHARACTERS_MAX, description="SAP sales order, print job, …"
    )
    detail: StrictStr | None = Field(default=None, description="for people; no personal data")
    attempt: StrictInt | None = Field(default=None, ge=0)
