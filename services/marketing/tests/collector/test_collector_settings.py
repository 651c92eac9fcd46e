"""The collector's configuration, and what an operator may get wrong."""

from pathlib import Path

import pytest
from eventbus.settings import SettingsError, config_path, load
from marketing.collector.settings import CollectorSettings

URL = "https://analytics.example/orders"


def settings(**environ: str) -> CollectorSettings:
    return load(CollectorSettings, config_path("marketing.collector", {}), {"COLLECTOR_URL": URL, **environ})


def test_address_is_all_that_is_needed() -> None:
    shipped = settings()

    assert (shipped.department, shipped.url, shipped.customer) == ("marketing_collector", URL, "pseudonym")
    assert (shipped.token, shipped.signing_secret, shipped.customer_key) == (None, None, None)


def test_token_is_read_from_a_mounted_file_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-token\n")
    shipped = settings(COLLECTOR_TOKEN_FILE=str(tmp_path / "token"))

    assert shipped.token is not None
    assert shipped.token.get_secret_value() == "s3cret-token"
    assert "s3cret" not in repr(shipped)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"COLLECTOR_URL": ""}, "url: expected the environment variable COLLECTOR_URL"),
        ({"COLLECTOR_URL": "analytics.example"}, "url: expected"),
        ({"COLLECTOR_URL": "ftp://analytics.example"}, "url: expected"),
        ({"COLLECTOR_URL": "https://user:s3cret@analytics.example"}, "no user, password or fragment"),
        ({"COLLECTOR_URL": "https://analytics.example/#part"}, "no user, password or fragment"),
        ({"COLLECTOR_URL": "https://analytics.example:99999/"}, "url: expected COLLECTOR_URL: http"),
        ({"COLLECTOR_URL": "https:///orders"}, "url: expected COLLECTOR_URL: http"),
        ({"COLLECTOR_TOKEN": "s3cret\nX-Other: 1"}, "token: expected COLLECTOR_TOKEN: printable ASCII"),
        ({"COLLECTOR_SIGNING_SECRET": "s3cret"}, "signing_secret: expected COLLECTOR_SIGNING_SECRET: whsec_"),
        ({"COLLECTOR_SIGNING_SECRET": "whsec_c2hvcnQ="}, "signing_secret: expected COLLECTOR_SIGNING_SECRET: whsec_"),
        ({"COLLECTOR_SIGNING_SECRET": "whsec_s3cret!"}, "signing_secret: expected COLLECTOR_SIGNING_SECRET: whsec_"),
        ({"MARKETING_CUSTOMER_KEY": "s3cret"}, "customer_key: expected a secret of 32"),
        ({"COLLECTOR_CUSTOMER": "hash"}, "customer: expected 'pseudonym', 'name' or 'none'"),
        ({"COLLECTOR_CONTENT_TYPE": "text/plain"}, "content_type: expected"),
        ({"COLLECTOR_CA": "/nowhere"}, "ca_file: expected COLLECTOR_CA: a file"),
        ({"COLLECTOR_READ_TIMEOUT": "60"}, "handler_timeout_s .HANDLER_TIMEOUT_S. of at least 128"),
    ],
)
def test_wrong_setting_is_refused_in_one_line_without_secrets(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        settings(**environ)
    assert "s3cret" not in str(refused.value)
