"""What an operator may set for the relay."""

import ssl
from typing import Annotated, Any, ClassVar

import pika
from eventbus.database import parse_url
from eventbus.settings import SettingsError
from eventbus.topology import ARCHIVE_BYTES_MAX, TIERS_S
from pydantic import BeforeValidator, Field, field_validator

from orders.settings import SectionSettings


def comma_separated(value: Any) -> Any:
    """A list from the environment: `a, b` becomes `["a", "b"]`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class RelaySettings(SectionSettings):
    """Settings of one relay process."""

    section: ClassVar[str] = "relay"

    amqp_url: Annotated[tuple[str, ...], BeforeValidator(comma_separated), Field(min_length=1)]
    """`amqp://` or `amqps://` URLs of the broker's hosts, comma-separated."""
    amqp_ca: str | None = None
    """File with the CA of `amqps` brokers; None: the machine's own."""
    database_url: str
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=8001, ge=0, le=65535)
    """Of `/healthz`, `/readyz`, `/metrics`; 0 takes a free one."""
    claims: int = Field(default=3, ge=1, le=16)
    """Claims in flight; each holds a thread, and on PostgreSQL a connection."""
    claim_rows: int = Field(default=500, ge=1, le=5000)
    """Rows a claim: what a killed relay may have sent already and another sends again is `claims` times this."""
    poll_s: float = Field(default=0.5, ge=0.01, le=60)
    """Safety net under the wake-up."""
    confirm_timeout_s: float = Field(default=15, gt=0, le=300)
    """Without a confirm for this long on a link that is not blocked, the next host is tried."""
    progress_timeout_s: float = Field(default=60, gt=0, le=3600)
    """With rows that do not go out for this long on a link that seems well, a new connection is made."""
    idle_in_transaction_s: float = Field(default=60, ge=1, le=3600)
    """PostgreSQL ends the session of a frozen relay after this, which frees its rows."""
    drain_s: float = Field(default=5, ge=0, le=60)
    """How long confirms are awaited after SIGTERM."""
    heartbeat_s: int = Field(default=10, ge=2, le=600)
    tier_seconds: Annotated[tuple[float, ...], BeforeValidator(comma_separated), Field(min_length=5, max_length=5)] = (
        TIERS_S
    )
    """Lives of the retry tiers, used by whoever declares them first."""
    archive_bytes_max: int = Field(default=ARCHIVE_BYTES_MAX, ge=1_000_000)
    """Size of the archive's stream, used by whoever declares it first."""

    @field_validator("amqp_url")
    @classmethod
    def _amqp_url(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not url.startswith(("amqp://", "amqps://")):
                raise ValueError("amqp:// or amqps:// URLs, comma-separated")
            try:
                pika.URLParameters(url)
            except (ValueError, TypeError) as error:
                raise ValueError(f"AMQP URLs that can be read: {error}") from None
        return value

    @field_validator("amqp_ca")
    @classmethod
    def _amqp_ca(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=value)
            except OSError as error:  # ssl.SSLError is one: no certificate in it
                raise ValueError(f"a file with the CA's certificate ({error.strerror or error})") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        try:
            parse_url(value)
        except SettingsError as error:
            raise ValueError(str(error).removeprefix("DATABASE_URL: expected ")) from None
        return value
