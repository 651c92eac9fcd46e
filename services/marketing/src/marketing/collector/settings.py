"""Settings of the collector."""

import base64
import binascii
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from eventbus.department import DepartmentSettings
from eventbus.department.http_target import certificates_file
from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from marketing.settings import CUSTOMER_KEY_CHARACTERS_MIN

SIGNING_SECRET_PREFIX = "whsec_"  # noqa: S105 - what the scheme's secrets begin with
SIGNING_BYTES_MIN = 24
"""Standard Webhooks asks for 24 to 64 random bytes."""
MARGIN_S = 5.0
"""Between the receiver's longest silences and the handler's limit."""


class CollectorSettings(DepartmentSettings):
    """What `collector/config.yaml` holds."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$")] = Field(description="http(s)://host/path")
    """Where each order is posted."""
    token: SecretStr | None = None
    """Bearer token of the receiver."""
    signing_secret: SecretStr | None = None
    """`whsec_` and base64. None: requests are not signed."""
    customer: Literal["pseudonym", "name", "none"] = "pseudonym"
    """What is sent of the customer. A pseudonym needs the key."""
    customer_key: SecretStr | None = None
    content_type: Literal["application/cloudevents+json", "application/json"] = "application/cloudevents+json"
    ca_file: str | None = None
    """Certificates to trust in place of the system's."""
    connect_timeout_s: float = Field(default=3.05, gt=0, le=30)
    read_timeout_s: float = Field(default=10, gt=0, le=600)

    @field_validator("url")
    @classmethod
    def _addressable(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port_is_possible = parts.port != 0  # reading it raises ValueError where it is no port
        except ValueError:
            port_is_possible = False
        if not port_is_possible or not parts.hostname or parts.username is not None or parts.fragment:
            raise ValueError("COLLECTOR_URL: http(s)://host/path, with no user, password or fragment in it")
        return url

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not all("!" <= character <= "~" for character in token.get_secret_value()):
            raise ValueError("COLLECTOR_TOKEN: printable ASCII characters without spaces")
        return token

    @field_validator("signing_secret")
    @classmethod
    def _is_a_webhook_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(decoded(secret)) < SIGNING_BYTES_MIN:
            raise ValueError(
                f"COLLECTOR_SIGNING_SECRET: {SIGNING_SECRET_PREFIX} and the base64 of {SIGNING_BYTES_MIN} bytes or more"
            )
        return secret

    @field_validator("customer_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < CUSTOMER_KEY_CHARACTERS_MIN:
            raise ValueError(f"a secret of {CUSTOMER_KEY_CHARACTERS_MIN} characters or more")
        return key

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, ca_file: str | None) -> str | None:
        return certificates_file(ca_file, "COLLECTOR_CA") if ca_file is not None else None

    @model_validator(mode="after")
    def _request_ends_before_handler(self) -> Self:
        request_s = self.connect_timeout_s + 2 * self.read_timeout_s + MARGIN_S  # silent before and amid its answer
        if request_s > self.handler_timeout_s:
            raise ValueError(
                f"handler_timeout_s (HANDLER_TIMEOUT_S) of at least {request_s:g}, for the longest request"
            )
        return self


def decoded(signing_secret: SecretStr) -> bytes:
    """The bytes of a `whsec_…`; none where it is something else."""
    text = signing_secret.get_secret_value()
    if not text.startswith(SIGNING_SECRET_PREFIX):
        return b""
    try:
        return base64.b64decode(text.removeprefix(SIGNING_SECRET_PREFIX), validate=True)
    except binascii.Error:
        return b""
