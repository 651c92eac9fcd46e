"""Settings of this service's processes: one file, a section and a frozen class for each process."""

from collections.abc import Mapping
from typing import Any, ClassVar

from eventbus.contract.routing import REGION_PATTERN
from eventbus.database import parse_url
from eventbus.settings import Settings, SettingsError
from pydantic import Field, field_validator, model_validator

SECTIONS = ("gateway", "relay", "tracker")
SHARED = ("database_url", "amqp_url")


class SectionSettings(Settings):
    """Base of a settings class that reads one section of `config.yaml` and those shared keys that it names.

    Unknown keys are refused, in the section and beside it. Without any section in it, a document is taken as it is.
    """

    section: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _own_section(cls, document: Any) -> Any:
        if not isinstance(document, Mapping) or not any(name in document for name in SECTIONS):
            return document
        own = document.get(cls.section) or {}
        if not isinstance(own, Mapping):
            raise ValueError(f"a mapping of settings in the section {cls.section}")  # noqa: TRY004 - for pydantic
        beside = {
            key: value
            for key, value in document.items()
            if key not in SECTIONS and (key not in SHARED or key in cls.model_fields)
        }
        return beside | dict(own)


class GatewaySettings(SectionSettings):
    """What an operator may set for the gateway."""

    section: ClassVar[str] = "gateway"

    database_url: str
    """`sqlite:///file` or `postgresql://…`"""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one, which the log names."""
    default_region: str = Field(
        default="main", pattern=REGION_PATTERN, description="a region: a-z, 0-9 and -, up to 32 characters"
    )
    """Of orders that name none."""
    access_log: bool = True
    """One line a request: method, route, status, seconds, order number."""
    message_timeout_s: float = Field(default=10, gt=0, le=300)
    """From the connection, or a request's first byte, to its last one. Then the connection is closed."""
    keep_alive_s: int = Field(default=75, ge=1, le=3600)
    """Idle time between requests. Longer than that of the proxies in front, or they meet closed connections."""
    unready_s: float = Field(default=0, ge=0, le=600)
    """How long after SIGTERM `/readyz` says no while everything is still answered. Longer than a load balancer takes to
    notice; 0 where there is none, or where it is told before SIGTERM (a preStop hook)."""
    drain_s: int = Field(default=20, ge=1, le=600)
    """How long requests under way may go on then."""

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        try:
            parse_url(value)
        except SettingsError:
            raise ValueError("sqlite:///file or postgresql://…") from None
        return value
