"""Announcements of departments: `department.joined.<department>` and `department.left.<department>`."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr

from eventbus.contract.order import DepartmentName, Moment
from eventbus.contract.routing import check_pattern

PATTERNS_MAX = 64


def _possible_pattern(pattern: str) -> str:
    try:
        return check_pattern(pattern)
    except ValueError:  # its text repeats the pattern, which may be anything here: it would stand in a reason
        raise ValueError("expected words, * or #, joined by dots, 255 bytes at most") from None


Pattern = Annotated[StrictStr, AfterValidator(_possible_pattern)]


class DepartmentJoined(BaseModel):
    """Data of `department.joined`: published at each start, when queue and bindings stand."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    department: DepartmentName = Field(description="equal to the routing key's third word")
    patterns: tuple[Pattern, ...] = Field(min_length=1, max_length=PATTERNS_MAX)
    version: StrictStr = Field(max_length=128)
    remembers_since: Moment | None = Field(default=None, description="how far back its ledger or inbox reaches")


class DepartmentLeft(BaseModel):
    """Data of `department.left`: published by `bus leave`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    department: DepartmentName = Field(description="equal to the routing key's third word")
    patterns: tuple[Pattern, ...] = Field(default=(), max_length=PATTERNS_MAX)
    version: StrictStr | None = Field(default=None, max_length=128)
