"""Settings of the relay: wrong ones end the process with one line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from eventbus.settings import SettingsError, load
from orders.relay.settings import RelaySettings

GOOD = {"amqp_url": "amqp://guest:secret@127.0.0.1:5672/", "database_url": "sqlite:///orders.db"}


def _written(folder: Path, **fields: object) -> Path:
    path = folder / "config.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in (GOOD | fields).items()))
    return path


def test_hosts_are_separated_by_commas(tmp_path: Path) -> None:
    settings = load(RelaySettings, _written(tmp_path, amqp_url="amqp://a/, amqps://b/"))

    assert settings.amqp_url == ("amqp://a/", "amqps://b/")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("amqp_url", "http://127.0.0.1/", "amqp:// or amqps://"),
        ("amqp_url", "amqp://127.0.0.1/?heartbeat=often", "AMQP URLs that can be read"),
        ("amqp_ca", "nowhere.pem", "a file with the CA's certificate (No such file"),
        ("amqp_ca", __file__, "a file with the CA's certificate"),
        ("database_url", "mysql://127.0.0.1/orders", "sqlite:///file or postgresql://"),
        ("claims", 0, "greater than or equal to 1"),
        ("confirm_timeout_s", 0, "greater than 0"),
        ("window", 1000, "no such key"),
    ],
)
def test_wrong_value_is_named_in_one_line(tmp_path: Path, field: str, value: object, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(RelaySettings, _written(tmp_path, **{field: value}))

    line = str(caught.value)
    assert field in line
    assert expected in line
    assert "\n" not in line
    assert "secret" not in line


def test_shipped_configuration_is_valid() -> None:
    shipped = Path(__file__).parents[2] / "config.yaml"

    assert load(RelaySettings, shipped, {"RELAY_PORT": "18001"}).health_port == 18001


def test_environment_reaches_what_an_operator_tunes() -> None:
    shipped = Path(__file__).parents[2] / "config.yaml"

    settings = load(RelaySettings, shipped, {"HEARTBEAT_S": "30", "RELAY_DRAIN_S": "9", "RELAY_CLAIMS": "5"})

    assert (settings.heartbeat_s, settings.drain_s, settings.claims) == (30, 9, 5)
    assert settings.amqp_ca is None


@pytest.fixture
def process() -> None:
    """Marks tests that start whole processes."""


def test_port_in_use_exits_78_with_one_line(tmp_path: Path, process: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = _written(tmp_path, health_port=taken.getsockname()[1], database_url=f"sqlite:///{tmp_path}/orders.db")
        ended = subprocess.run(
            [sys.executable, "-m", "orders", "relay"],
            env=os.environ | {"CONFIG_FILE": str(config)},
            capture_output=True,
            text=True,
        )

    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert "health_port: expected a free port" in ended.stderr
