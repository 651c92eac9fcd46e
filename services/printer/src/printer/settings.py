"""Settings of the printer, from `config.yaml`."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from eventbus.contract.routing import REGION_PATTERN
from eventbus.department import DepartmentSettings
from eventbus.department.http_target import certificates_file
from eventbus.department.settings import comma_separated
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from printer.ipp_access import Access
from printer.ipp_transport import http_url
from printer.names import CjkForm
from printer.papers import PAPERS

ALL_WAREHOUSES = "printer"
"""The department that may print for every warehouse."""


class PrinterSettings(DepartmentSettings):
    """What the printer reads beside the settings of every department."""

    patterns: Annotated[tuple[str, ...] | None, BeforeValidator(comma_separated)] = Field(
        default=None, validate_default=True
    )
    """Routing keys of one warehouse; None: of all."""
    database_url: str
    """`sqlite:///file` or `postgresql://…`: the ledger, and what stands on each slip."""
    printer_uri: str
    """`ipp://host/ipp/print`, `ipps://…`, or `file:///folder`."""
    printer_user: str | None = None
    """Login of the printer (HTTP Basic), if it wants one."""
    printer_password: str | None = Field(default=None, validate_default=True, repr=False)
    printer_ca: str | None = None
    """File with the CAs that sign an `ipps` printer's certificate, in place of the machine's."""
    printer_cert_sha256: str | None = None
    """Fingerprint of an `ipps` printer's certificate, in place of any CA: 64 hexadecimal digits, colons allowed."""
    forgets: Literal["nothing", "done"] = "nothing"
    """`done`: the printer drops its finished jobs. One that was seen printing and is gone counts as printed."""
    lost: Literal["attention", "repeat"] = "attention"
    """What to do for a job that the printer lost: ask a person, or print a marked copy."""
    paper: str = "a4"
    cjk: CjkForm = "SC"
    """Form of Chinese characters in a name without kana or hangul."""
    timezone: str = "UTC"
    """Of the time on the slip, a name of the IANA database."""
    keep_days: int = Field(default=30, ge=1, le=3650)
    """How long what stands on a slip is kept for a reprint: the customer's name is in it."""
    window: int = Field(default=20, ge=1, le=1000)
    """Jobs that the printer has accepted and not finished: what its restart can lose at most."""

    @field_validator("patterns")
    @classmethod
    def _warehouse(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        regions = [region_of(pattern) for pattern in value or ()]
        if None in regions:
            raise ValueError("order.created.* or routing keys with a region in small letters, order.created.north")
        if (not regions or "*" in regions) and info.data.get("department", ALL_WAREHOUSES) != ALL_WAREHOUSES:
            raise ValueError(
                "the routing keys of one warehouse, such as order.created.north (all orders are for the department "
                f"{ALL_WAREHOUSES}: beside it every order would have two slips)"
            )
        return value

    @field_validator("printer_uri")
    @classmethod
    def _printer_uri(cls, value: str) -> str:
        try:
            if folder_of(value) is None:
                http_url(value)
        except ValueError:
            raise ValueError("ipp://host/path, ipps://host/path or file:///folder") from None
        if folder_of(value) is None and "@" in urlsplit(value).netloc:
            raise ValueError("an address without login, which belongs into PRINTER_USER and PRINTER_PASSWORD")
        return value

    @field_validator("printer_password")
    @classmethod
    def _password(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is None) != (info.data.get("printer_user") is None):
            raise ValueError("both PRINTER_USER and PRINTER_PASSWORD, or neither")
        return value

    @field_validator("printer_ca")
    @classmethod
    def _ca_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            _check_ipps("PRINTER_CA", info)
            certificates_file(value, "PRINTER_CA")
        return value

    @field_validator("printer_cert_sha256")
    @classmethod
    def _cert_sha256(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        _check_ipps("PRINTER_CERT_SHA256", info)
        if info.data.get("printer_ca") is not None:
            raise ValueError("PRINTER_CERT_SHA256 or PRINTER_CA, not both")
        digits = value.replace(":", "").lower()
        if not re.fullmatch("[0-9a-f]{64}", digits):
            raise ValueError("a SHA-256 fingerprint: 64 hexadecimal digits")
        return digits

    @field_validator("paper")
    @classmethod
    def _paper(cls, value: str) -> str:
        if value not in PAPERS:
            raise ValueError(f"one of {', '.join(PAPERS)}")
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # not found; not a name; a folder
            raise ValueError("a name of the IANA time zone database, such as Europe/Berlin") from None
        return value

    @property
    def access(self) -> Access:
        """How the printer is logged in to and trusted."""
        return Access(self.printer_user, self.printer_password, self.printer_ca, self.printer_cert_sha256)

    @property
    def folder(self) -> Path | None:
        """The folder of a `file:///` address, or None for a printer."""
        return folder_of(self.printer_uri)


def _check_ipps(name: str, info: ValidationInfo) -> None:
    uri = info.data.get("printer_uri")
    if uri is not None and not uri.startswith("ipps:"):  # None: it is wrong itself, and named first
        raise ValueError(f"{name} only with an ipps:// address in PRINTER_URI")


def region_of(pattern: str) -> str | None:
    """The region whose orders the pattern brings, `*` for all; None where it can bring none."""
    match pattern.split("."):
        case ["order", "created", region] if region == "*" or re.match(REGION_PATTERN, region):
            return region
        case _:
            return None


def folder_of(uri: str) -> Path | None:
    """The folder that a `file:///` address names (RFC 8089), or None for another address."""
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.startswith("/"):
        return None
    return Path(path)
