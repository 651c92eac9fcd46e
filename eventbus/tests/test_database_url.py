"""What is taken for the address of a database, and what is refused in one line."""

import pytest
from eventbus.database import parse_url
from eventbus.settings import SettingsError


@pytest.mark.parametrize(
    "url",
    ["", "nothing", "postgresql://u:s3cr3t@h:no-port/d", "mysql://u:s3cr3t@h/d", "sqlite://", "sqlite:///:memory:"],
)
def test_other_address_is_refused_in_one_line_that_shows_no_password(url: str) -> None:
    with pytest.raises(SettingsError, match="expected sqlite:///file or postgresql://") as refused:
        parse_url(url)
    assert "s3cr3t" not in str(refused.value)
