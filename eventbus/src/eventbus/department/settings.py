"""Settings that every department has."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from eventbus.contract.routing import check_pattern, is_department
from eventbus.settings import Settings
from eventbus.topology import ARCHIVE_BYTES_MAX, TIERS_S, shared_names


def comma_separated(value: Any) -> Any:
    """A list from the environment: `a, b` becomes `["a", "b"]`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class DepartmentSettings(Settings):
    """What the runtime of a department reads. A department's own settings class derives from this."""

    department: str
    """Name of queue, results and announcement; `[a-z][a-z0-9_]{0,31}`."""
    amqp_url: Annotated[tuple[str, ...], BeforeValidator(comma_separated), Field(min_length=1)]
    """`amqp://` or `amqps://` URLs of the broker's hosts, comma-separated."""
    amqp_ca: str | None = None
    """File with the CA of an `amqps` broker; None: the machine's own."""
    patterns: Annotated[tuple[str, ...] | None, BeforeValidator(comma_separated)] = None
    """Routing-key patterns in place of the handler's own, for a department that serves a part (one warehouse)."""
    health_host: str = "127.0.0.1"
    health_port: int = Field(ge=0, le=65535)
    """Of `/healthz`, `/readyz`, `/metrics`; 0 takes a free one."""
    max_workers: int = Field(default=20, ge=1, le=1000)
    prefetch: int | None = Field(default=None, ge=1, le=5000)
    """Deliveries held unacknowledged; None: `max_workers`, or twice the batch."""
    handler_timeout_s: float = Field(default=60, gt=0, le=1500)
    """Ends a handler. Far below the broker's consumer time-out (30 min)."""
    drain_s: float = Field(default=20, ge=0, le=600)
    """How long work under way may go on after SIGTERM."""
    retry_for_s: float = Field(default=86400, gt=0, le=2592000)
    """A transient failure is retried this long from the first one, then parked."""
    tier_seconds: Annotated[tuple[float, ...], BeforeValidator(comma_separated), Field(min_length=5, max_length=5)] = (
        TIERS_S
    )
    """Lives of the five retry tiers. All services of one broker must agree: the queues are shared."""
    heartbeat_s: int = Field(default=10, ge=2, le=600)
    confirm_timeout_s: float = Field(default=15, gt=0, le=300)
    """Without a confirm for this long on a link that is not blocked, the next host is tried."""
    breaker_failures: int = Field(default=5, ge=1, le=1000)
    """Transient failures in a row that open the breaker."""
    breaker_open_s: float = Field(default=5, gt=0, le=600)
    breaker_open_max_s: float = Field(default=60, gt=0, le=3600)
    breaker_permanent: int = Field(default=20, ge=1, le=10000)
    """Permanent verdicts in a row that open the breaker."""
    archive_bytes_max: int = Field(default=ARCHIVE_BYTES_MAX, ge=1_000_000)
    """Size of the archive's stream, used by whoever declares it first."""

    @field_validator("department")
    @classmethod
    def _name(cls, value: str) -> str:
        if not is_department(value):
            raise ValueError("a department's name: a letter, then letters, digits or _, 32 at most, lower case")
        if value in shared_names():
            raise ValueError("another name: what all share on the broker has that one")
        return value

    @field_validator("amqp_url")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("amqp", "amqps") or not parts.hostname:
                raise ValueError("amqp://user:password@host:port/vhost, several comma-separated")
        return value

    @field_validator("amqp_ca")
    @classmethod
    def _ca(cls, value: str | None) -> str | None:
        if value is not None and not Path(value).is_file():
            raise ValueError("a file with the CA's certificate")
        return value

    @field_validator("patterns")
    @classmethod
    def _patterns(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return tuple(check_pattern(pattern) for pattern in value) if value else None
