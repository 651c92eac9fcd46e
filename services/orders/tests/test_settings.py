"""`config.yaml`: one file, a section for each process; what is wrong is said in one line."""

from pathlib import Path

import pytest
from eventbus.settings import SettingsError, config_path, load
from orders.settings import GatewaySettings

ENVIRONMENT = {"DATA_DIR": "/data"}


def test_shipped_file_is_complete_and_overridden_by_the_environment() -> None:
    settings = load(GatewaySettings, config_path("orders", {}), ENVIRONMENT)
    assert settings == GatewaySettings(database_url="sqlite:////data/orders.db")
    changed = load(
        GatewaySettings,
        config_path("orders", {}),
        {
            "DATABASE_URL": "postgresql://u@h/db",
            "GATEWAY_PORT": "1",
            "DEFAULT_REGION": "south",
            "ACCESS_LOG": "false",
        },
    )
    assert changed.database_url == "postgresql://u@h/db"
    assert (changed.port, changed.default_region, changed.access_log) == (1, "south", False)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("GATEWAY_PORT", "80000", "port: expected less than or equal to 65535, got: '80000'"),
        ("GATEWAY_PORT", "eighty", "port: expected a valid integer"),
        (
            "DATABASE_URL",
            "mysql://h/db",
            "database_url: expected sqlite:///file or postgresql://…, got: 'mysql://h/db'",
        ),
        ("DATABASE_URL", "nonsense", "database_url: expected sqlite:///file or postgresql://…"),
        ("DEFAULT_REGION", "North!", "default_region: expected a region: a-z, 0-9 and -"),
        ("ACCESS_LOG", "perhaps", "access_log: expected a valid boolean"),
    ],
)
def test_wrong_value_is_named_in_one_line(variable: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(GatewaySettings, config_path("orders", {}), ENVIRONMENT | {variable: value})
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("database_url: sqlite:///x.db\ngateway: {prot: 1}", "prot"),
        ("database_url: sqlite:///x.db\ngateway: {}\ncolour: red", "colour"),
        ("database_url: sqlite:///x.db\ngateway: {claims: 3}", "claims"),
    ],
)
def test_unknown_key_is_refused(tmp_path: Path, content: str, key: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=f"{key}: expected no such key, got one"):
        load(GatewaySettings, file, {})
