"""The shipped configuration, and what an operator may get wrong."""

import pytest
from eventbus.settings import SettingsError, config_path, load
from marketing.settings import MarketingSettings


def settings(**environ: str) -> MarketingSettings:
    return load(MarketingSettings, config_path("marketing", {}), environ)


def test_shipped_configuration_needs_no_variable() -> None:
    shipped = settings()

    assert shipped.department == "marketing"
    assert shipped.timezone == "Europe/Berlin"
    assert shipped.customer_key is None
    assert shipped.database_url == "sqlite:///var/data/marketing.db"


@pytest.mark.parametrize("timezone", ["UTC", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"])
def test_any_zone_of_iana_is_taken(timezone: str) -> None:
    assert settings(TIMEZONE=timezone).zone.key == timezone


@pytest.mark.parametrize("timezone", ["Europe/Atlantis", "Europe", "../etc/passwd", "+01:00", "CEST/", "Ber\0lin"])
def test_unknown_zone_is_refused_with_an_example(timezone: str) -> None:
    with pytest.raises(SettingsError, match="timezone: expected an IANA time zone such as Europe/Berlin, got: "):
        settings(TIMEZONE=timezone)


def test_short_customer_key_is_refused_and_not_shown() -> None:
    with pytest.raises(
        SettingsError, match="customer_key: expected a secret of 32 characters or more, got: "
    ) as refused:
        settings(MARKETING_CUSTOMER_KEY="short-secret")
    assert "short-secret" not in str(refused.value)
