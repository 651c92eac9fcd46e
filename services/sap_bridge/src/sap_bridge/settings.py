"""Settings of the SAP bridge, from `config.yaml`. The mapping's tables are checked here, at start."""

import ipaddress
import json
import re
import ssl
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from eventbus.contract.order import PRODUCT_ID_MAX
from eventbus.contract.routing import REGION_PATTERN
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

ANY = "*"
"""Stands for every region, or every product, that has no row of its own."""
MATERIAL_CHARACTERS_MAX = 40
PREFIX_CHARACTERS_MAX = 20
"""SAP's customer reference holds 35; our order numbers have 14."""
CONNECT_RETRIES = 2
"""Before anything is sent."""
MARGIN_S = 5.0
"""Between the end of the last call and the handler's limit, for the ledger."""
SETTLE_S_MIN = 60.0
"""Of a SAP that is not on this machine: a shorter settle time books twice when a dialog step is slow."""


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"JSON ({error})") from None


def _template_or_json(value: Any) -> Any:
    return _from_json(value) if isinstance(value, str) and re.match(r"\s*\{\s*[\"}]", value) else value


def _none(value: Any) -> Any:
    return None if value == "none" else value


def _code(length: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=length, pattern=r"^[!-~]+$")


class SalesArea(Settings):
    """Where orders of a region are booked, and for which business partner."""

    organization: Annotated[str, _code(4)]
    channel: Annotated[str, _code(2)]
    division: Annotated[str, _code(2)]
    sold_to: Annotated[str, _code(10)]


SalesAreas = dict[str, SalesArea]
Materials = str | dict[str, str]


class SapSettings(Settings):
    """How to reach SAP, and what an order becomes there."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/?#\s]+/[^?#\s]*[^/?#\s]$")]
    """The service's root, without a slash at its end."""
    client: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] | None = None
    user: str = Field(min_length=1)
    password: SecretStr = Field(min_length=1)
    language: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "EN"
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
    sales_areas: SalesAreas
    sales_areas_override: Annotated[SalesAreas | None, BeforeValidator(_from_json)] = None
    materials: Annotated[Materials, BeforeValidator(_template_or_json)]
    materials_override: Annotated[Materials | None, BeforeValidator(_template_or_json)] = None

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, ca_file: str | None) -> str | None:
        if ca_file is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise ValueError(f"SAP_VERIFY: a file with certificates as PEM ({error.strerror})") from None
        return ca_file

    @field_validator("sales_areas", "sales_areas_override")
    @classmethod
    def _regions(cls, areas: SalesAreas | None) -> SalesAreas | None:
        for region in areas or ():
            if region != ANY and not re.fullmatch(REGION_PATTERN, region):
                raise ValueError(f"regions as a-z, 0-9 and -, or {ANY}; not {region!r}")
        return areas

    @field_validator("materials", "materials_override")
    @classmethod
    def _products(cls, materials: Materials | None) -> Materials | None:
        if isinstance(materials, str):
            _check_template(materials)
        for product, material in (materials or {}).items() if isinstance(materials, dict) else ():
            if product == ANY:
                _check_template(material)
            elif not re.fullmatch(r"[1-9][0-9]{0,15}", product):
                raise ValueError(f"product ids as keys, or {ANY}; not {product!r}")
            else:
                _check_material(material)
        return materials

    @field_validator("settle_s")
    @classmethod
    def _settles(cls, settle_s: float, info: ValidationInfo) -> float:
        host = urlsplit(info.data.get("url", "")).hostname or ""
        if settle_s < SETTLE_S_MIN and host and not _is_this_machine(host):
            raise ValueError(f"SAP_SETTLE_S of at least {SETTLE_S_MIN:g}, better 120, for a SAP on another machine")
        return settle_s

    @property
    def areas_in_force(self) -> SalesAreas:
        """Region to sales area."""
        return self.sales_areas if self.sales_areas_override is None else self.sales_areas_override

    @property
    def materials_in_force(self) -> Materials:
        """Product to material, or a template for all."""
        return self.materials if self.materials_override is None else self.materials_override


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


def _check_template(template: str) -> None:
    try:
        smallest, largest = template.format(product_id=1), template.format(product_id=PRODUCT_ID_MAX)
    except (KeyError, IndexError, ValueError, AttributeError):
        raise ValueError("a template with {product_id} and no other field") from None
    if smallest == largest:
        raise ValueError("a template with {product_id}")
    for material in (smallest, largest):
        _check_material(material)


def _check_material(material: str) -> None:
    if not re.fullmatch(rf"[!-~]([ -~]{{0,{MATERIAL_CHARACTERS_MAX - 2}}}[!-~])?", material):
        raise ValueError(f"materials of 1 to {MATERIAL_CHARACTERS_MAX} printable ASCII characters, not {material!r}")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
