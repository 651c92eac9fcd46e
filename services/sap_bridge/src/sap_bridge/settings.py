"""Settings of the SAP bridge, from `config.yaml`. The mapping's file is read and checked with them, at start."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from eventbus.department.http_target import certificates_file
from eventbus.department.settings import DepartmentSettings
from eventbus.settings import Settings
from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sap_bridge.mapping_tables import MappingTables, read_mapping, shipped_mapping

PREFIX_CHARACTERS_MAX = 20
"""SAP's customer reference holds 35; our order numbers have 14."""
CONNECT_RETRIES = 2
"""Before anything is sent."""
MARGIN_S = 5.0
"""Between the end of the last call and the handler's limit, for the ledger."""
SETTLE_S_MIN = 60.0
"""Of a SAP that is not on this machine: a shorter settle time books twice when a dialog step is slow."""


def _none(value: Any) -> Any:
    return None if value == "none" else value


def _tables(value: Any) -> Any:
    return read_mapping(Path(value)) if isinstance(value, str) else value


def _code(length: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=length, pattern=r"^[!-~]+$")


class SapSettings(Settings):
    """How to reach SAP, and what an order becomes there."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/?#\s@]+/[^?#\s]*[^/?#\s]$")] = Field(
        description="http(s)://host/…/API_SALES_ORDER_SRV, without a login, and without a slash at its end"
    )
    """The service's root, without a slash at its end and without a login: that would be in every print-out."""
    client: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] | None = Field(
        default=None, description="three digits"
    )
    user: str = Field(min_length=1)
    password: SecretStr = Field(min_length=1)
    language: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(
        default="EN", description="two capital letters"
    )
    ca_file: str | None = None
    """Certificates to trust in place of the system's."""

    connect_timeout_s: float = Field(default=3.05, gt=0, le=30)
    read_timeout_s: float = Field(default=60, gt=0, le=600)
    """Of a booking."""
    look_up_timeout_s: float = Field(default=15, gt=0, le=600)
    """Of login and look-up."""
    max_concurrency: int = Field(default=8, ge=1, le=200)
    """Calls at a time. Stay below the number of SAP's dialog work processes."""
    max_rps: float = Field(default=0, ge=0, le=10000)
    """Calls a second; 0: no limit."""

    settle_s: float = Field(gt=0, le=86400)
    look_up_always: bool = False
    transient_re: re.Pattern[str]

    order_type: Annotated[str, _code(4)]
    reference_prefix: Annotated[str, StringConstraints(max_length=PREFIX_CHARACTERS_MAX, pattern=r"^[!-~]*$")] = ""
    text_id: Annotated[Annotated[str, _code(4)] | None, BeforeValidator(_none)] = None
    timezone: ZoneInfo
    mapping: Annotated[MappingTables, BeforeValidator(_tables)] = Field(
        default_factory=lambda: read_mapping(shipped_mapping())
    )
    """In `config.yaml` the name of a file; here what it holds."""

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, ca_file: str | None) -> str | None:
        return certificates_file(ca_file, "SAP_VERIFY") if ca_file is not None else None

    @field_validator("settle_s")
    @classmethod
    def _settles(cls, settle_s: float, info: ValidationInfo) -> float:
        host = urlsplit(info.data.get("url", "")).hostname or ""
        if settle_s < SETTLE_S_MIN and host and not _is_this_machine(host):
            raise ValueError(f"SAP_SETTLE_S of at least {SETTLE_S_MIN:g}, better 120, for a SAP on another machine")
        return settle_s


class SapBridgeSettings(DepartmentSettings):
    """Everything that `config.yaml` may hold."""

    database_url: str
    """Of the ledger: `sqlite:///file` or `postgresql://…`."""
    sap: SapSettings

    @model_validator(mode="after")
    def _call_ends_before_handler(self) -> Self:
        connects = 1 + CONNECT_RETRIES
        call_s = connects * self.sap.connect_timeout_s + self.sap.read_timeout_s + MARGIN_S
        if call_s > self.handler_timeout_s:
            raise ValueError(f"handler_timeout_s (HANDLER_TIMEOUT_S) of at least {call_s:g}, for SAP's longest call")
        return self


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
