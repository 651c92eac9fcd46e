"""Settings of the printer, from `config.yaml`."""

from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from eventbus.department import DepartmentSettings
from pydantic import Field, field_validator

from printer.ipp_transport import http_url
from printer.names import CjkForm
from printer.papers import PAPERS


class PrinterSettings(DepartmentSettings):
    """What the printer reads beside the settings of every department."""

    database_url: str
    """`sqlite:///file` or `postgresql://…`: the ledger, and what stands on each slip."""
    printer_uri: str
    """`ipp://host/ipp/print`, `ipps://…`, or `file:///folder`."""
    paper: str = "a4"
    cjk: CjkForm = "SC"
    """Form of Chinese characters in a name without kana or hangul."""
    timezone: str = "UTC"
    """Of the time on the slip, a name of the IANA database."""
    window: int = Field(default=20, ge=1, le=1000)
    """Jobs that the printer has accepted and not finished: what its restart can lose at most."""

    @field_validator("printer_uri")
    @classmethod
    def _printer_uri(cls, value: str) -> str:
        if folder_of(value) is None:
            try:
                http_url(value)
            except ValueError:
                raise ValueError("ipp://host/path, ipps://host/path or file:///folder") from None
        return value

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
    def folder(self) -> Path | None:
        """The folder of a `file:///` address, or None for a printer."""
        return folder_of(self.printer_uri)


def folder_of(uri: str) -> Path | None:
    """The folder that a `file:///` address names (RFC 8089), or None for another address."""
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not path.startswith("/"):
        return None
    return Path(path)
