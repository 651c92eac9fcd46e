"""The sandbox's settings, from `config.yaml`."""

from decimal import Decimal
from typing import Annotated, Self

from eventbus.settings import Settings
from pydantic import Field, StringConstraints, model_validator

Patterns = tuple[Annotated[str, StringConstraints(min_length=1)], ...]
SalesAreaPatterns = tuple[Annotated[str, StringConstraints(pattern=r"^[^/]{1,4}/[^/]{1,2}/[^/]{1,2}$")], ...]

LARGEST_SALES_ORDER = 10**10 - 1
"""A sales order's number has ten digits."""


class NumberRange(Settings):
    """An inclusive range of sales order numbers."""

    first: int = Field(ge=1, le=LARGEST_SALES_ORDER)
    last: int = Field(ge=1, le=LARGEST_SALES_ORDER)

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.first > self.last:
            raise ValueError("first to be at most last")
        return self

    def overlaps(self, other: "NumberRange") -> bool:
        """Whether a number is in both."""
        return self.first <= other.last and other.first <= self.last


class MasterDataSettings(Settings):
    """What the sandbox knows. `*` in a pattern stands for any characters; blocked wins over known."""

    order_types: Patterns
    sales_areas: SalesAreaPatterns
    sales_areas_blocked: SalesAreaPatterns = ()
    sold_to_parties: Patterns
    sold_to_parties_blocked: Patterns = ()
    materials: Patterns
    materials_blocked: Patterns = ()
    materials_incomplete: Patterns = ()
    text_ids: Patterns
    currency: str = Field(pattern=r"^[A-Z]{3,5}$")
    net_price: Decimal = Field(ge=0, max_digits=16, decimal_places=2)


class SandboxSettings(MasterDataSettings):
    """Everything that `config.yaml` may hold."""

    host: str
    port: int = Field(ge=0, le=65535)
    database_url: str = Field(pattern=r"^sqlite:///.+")

    system_id: str = Field(pattern=r"^[A-Z][A-Z0-9]{2}$")
    client: str = Field(pattern=r"^[0-9]{3}$")
    user: str = Field(min_length=1, max_length=40)
    password: str = Field(min_length=1, max_length=200, repr=False)
    session_idle_s: float = Field(gt=0, le=86_400)
    sessions_max: int = Field(ge=1, le=100_000)

    work_processes: int = Field(ge=1, le=1000)
    queue_max: int = Field(ge=0, le=100_000)
    latency_median_ms: float = Field(ge=0, le=600_000)
    latency_sigma: float = Field(ge=0, le=3)
    read_latency_median_ms: float = Field(ge=0, le=600_000)
    body_bytes_max: int = Field(ge=1024, le=100_000_000)

    internal_range: NumberRange
    external_range: NumberRange | None = None

    @model_validator(mode="after")
    def _ranges_are_apart(self) -> Self:
        if self.external_range and self.internal_range.overlaps(self.external_range):
            raise ValueError("external_range and internal_range without a common number")
        return self
