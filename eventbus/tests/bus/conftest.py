"""The `bus` command line against the test's own broker."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from eventbus.operator import cli
from eventbus.rights import OPERATOR, TOPOLOGY
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker

Bus = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bus(broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bus:
    """Runs one command, as a user who may do that and no more: `code, out, err = bus("dead", "list")`."""
    monkeypatch.setenv("TIER_SECONDS", ",".join(map(str, FAST_TIERS_S)))
    monkeypatch.setenv("ARCHIVE_BYTES_MAX", str(SMALL_ARCHIVE_BYTES))

    def run(*arguments: str) -> tuple[int, str, str]:
        url = _url_for(broker, arguments)
        monkeypatch.setenv("AMQP_URL", url)
        login = urlsplit(url).netloc.rpartition("@")[0]
        management = urlsplit(broker.management.base)
        monkeypatch.setenv("MANAGEMENT_URL", management._replace(netloc=f"{login}@{management.netloc}").geturl())
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


def _url_for(broker: Broker, arguments: tuple[str, ...]) -> str:
    if arguments[0] == "users" or "--delete-user" in arguments:
        return broker.amqp_url  # an administrator's
    return broker.url_of(TOPOLOGY if arguments[:2] == ("topology", "declare") else OPERATOR)
