"""Settings: the environment fills the file in; what is wrong is one line and exit code 78."""

from pathlib import Path
from typing import Annotated

import pytest
from eventbus.settings import Settings, SettingsError, config_path, load, load_or_exit, redacted, substitute
from pydantic import Field


class Example(Settings):
    amqp_url: str
    port: Annotated[int, Field(ge=0, le=65535)] = 8084
    api_key: Annotated[str, Field(min_length=8)] | None = None
    names: tuple[str, ...] = ()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("plain", {}, "plain"),
        ("${A}", {"A": "x"}, "x"),
        ("${A:y}", {}, "y"),
        ("${A:y}", {"A": "x"}, "x"),
        ("${A:y}", {"A": ""}, "y"),
        ("${A:}", {}, ""),
        ("a-${A:1}-b-${B:2}", {"B": "3"}, "a-1-b-3"),
        ("sqlite:///${DIR:var/data}/p.db", {}, "sqlite:///var/data/p.db"),
        ("${URL:sqlite:///${DIR:var}/p.db}", {}, "sqlite:///var/p.db"),
        ("${URL:sqlite:///${DIR:var}/p.db}", {"DIR": "/data"}, "sqlite:///data/p.db".replace(":///", ":////")),
        ("${A}", {"A": "${B}"}, "${B}"),
        ("$A {A}", {"A": "x"}, "$A {A}"),
    ],
)
def test_substitution(text: str, environ: dict[str, str], expected: str) -> None:
    assert substitute(text, environ) == expected


def test_secret_comes_from_the_file_that_the_environment_names(file: Path, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("amqp://u:secret@broker/\n")
    file.write_text("amqp_url: ${AMQP_URL}")
    environ = {"AMQP_URL_FILE": str(tmp_path / "url")}
    assert load(Example, file, environ).amqp_url == "amqp://u:secret@broker/"
    assert load(Example, file, {**environ, "AMQP_URL": "amqp://other/"}).amqp_url == "amqp://other/"


def test_text_from_the_environment_becomes_a_number(file: Path) -> None:
    file.write_text("amqp_url: amqp://b/\nport: ${PORT:8084}")
    assert load(Example, file, {"PORT": "9000"}).port == 9000


def test_empty_optional_value_counts_as_missing(file: Path) -> None:
    file.write_text("amqp_url: amqp://b/\napi_key: ${API_KEY:}")
    assert load(Example, file, {}).api_key is None


@pytest.mark.parametrize(
    ("content", "environ", "line"),
    [
        ("amqp_url: ${AMQP_URL}", {}, "amqp_url: expected the environment variable AMQP_URL, got: it is not set"),
        ("amqp_url: ${AMQP_URL", {}, "amqp_url: expected a closing brace after ${"),
        ("names: [a, '${B}']", {}, "names.1: expected the environment variable B, got: it is not set"),
        ("port: 1", {}, "amqp_url: expected a value, got none"),
        (
            "amqp_url: a\nport: ${PORT}",
            {"PORT": "many"},
            "port: expected a valid integer, unable to parse string as an",
        ),
        ("amqp_url: a\nport: 65536", {}, "port: expected less than or equal to 65535, got: 65536"),
        ("amqp_url: a\nprot: 1", {}, "prot: expected no such key, got one"),
        ("- a", {}, "expected a mapping of settings, got: list"),
        ("", {}, "expected a mapping of settings, got: NoneType"),
        ("a: [", {}, "expected YAML, got: "),
    ],
)
def test_what_is_wrong_is_one_line_with_file_key_expected_and_got(
    file: Path, content: str, environ: dict[str, str], line: str
) -> None:
    file.write_text(content)
    with pytest.raises(SettingsError) as caught:
        load(Example, file, environ)
    assert str(caught.value).startswith(f"{file}: {line}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "port: !!timestamp x",
        "port: !!bool x",
        'port: !!int ""',
        "port: &a [*a]",
        "[" * 1000,
        "port: ${A:" + "${A:" * 9000,
    ],
    ids=["timestamp", "bool", "int", "itself", "brackets", "variables"],
)
def test_yaml_that_breaks_its_own_reader_is_one_line(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match="expected") as wrong:
        load(Example, file, {})
    assert str(wrong.value).startswith(str(file))
    assert "\n" not in str(wrong.value)


def test_missing_file_is_one_line(file: Path) -> None:
    with pytest.raises(SettingsError, match="expected a readable YAML file, got: No such file"):
        load(Example, file, {})


def test_missing_secret_file_is_one_line(file: Path) -> None:
    file.write_text("amqp_url: ${AMQP_URL}")
    with pytest.raises(SettingsError, match="amqp_url: expected a readable file"):
        load(Example, file, {"AMQP_URL_FILE": "/nowhere"})


def test_error_shows_no_secret(file: Path) -> None:
    file.write_text("amqp_url: [amqp://u:hunter2@b/]\n")
    with pytest.raises(SettingsError) as caught:
        load(Example, file, {})
    assert "hunter2" not in str(caught.value)
    file.write_text("amqp_url: a\napi_key: hunter2\n")
    with pytest.raises(SettingsError) as caught:
        load(Example, file, {})
    assert "hunter2" not in str(caught.value)


def test_wrong_configuration_ends_the_process_with_78_and_one_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("port: 1")
    with pytest.raises(SystemExit) as ended:
        load_or_exit(Example, file)
    assert ended.value.code == 78
    assert capsys.readouterr().err == f"configuration: {file}: amqp_url: expected a value, got none\n"


def test_settings_are_frozen(file: Path) -> None:
    file.write_text("amqp_url: a")
    settings = load(Example, file, {})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_file_is_the_one_named_or_the_one_beside_the_code() -> None:
    assert config_path("eventbus", {"CONFIG_FILE": "/etc/x.yaml"}) == Path("/etc/x.yaml")
    assert config_path("eventbus", {}).name == "config.yaml"
    with pytest.raises(SettingsError, match="no_such_package"):
        config_path("no_such_package", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amqp://u:p@h:5672/", "amqp://u:***@h:5672/"),
        ("amqp://a:b@h1/,amqp://c:d@h2/", "amqp://a:***@h1/,amqp://c:***@h2/"),
        ("at https://:token@h and https://h/", "at https://:***@h and https://h/"),
        ("amqp://u@h/", "amqp://u@h/"),
        ("http://h:80/", "http://h:80/"),
    ],
)
def test_passwords_of_urls_are_hidden(text: str, expected: str) -> None:
    assert redacted(text) == expected
