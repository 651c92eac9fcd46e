"""Settings of the marketing department."""

import zoneinfo

from eventbus.department import DepartmentSettings
from pydantic import field_validator

CUSTOMER_KEY_CHARACTERS_MIN = 32


class MarketingSettings(DepartmentSettings):
    """What `config.yaml` holds."""

    database_url: str
    """`sqlite:///file` or `postgresql://…`: inbox and counters."""
    timezone: str = "Europe/Berlin"
    """IANA name of the zone in which days and hours are counted. A database counts in one zone for good."""
    customer_key: str | None = None
    """Secret of the customers' pseudonyms, 32 characters or more. None: a random one, kept in the database."""

    @field_validator("customer_key")
    @classmethod
    def _long_enough(cls, value: str | None) -> str | None:
        if value is not None and len(value) < CUSTOMER_KEY_CHARACTERS_MIN:
            raise ValueError(f"a secret of {CUSTOMER_KEY_CHARACTERS_MIN} characters or more")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("an IANA time zone such as Europe/Berlin") from None
        return value

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The business's time zone."""
        return zoneinfo.ZoneInfo(self.timezone)
