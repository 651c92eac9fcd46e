"""The `bus` command line against the test's own broker."""

from collections.abc import Callable

import pytest
from eventbus.operator import cli
from eventbus.testing.broker import FAST_TIERS_S, SMALL_ARCHIVE_BYTES, Broker

Bus = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bus(broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bus:
    """Runs one command: `code, out, err = bus("dead", "list")`."""
    monkeypatch.setenv("AMQP_URL", broker.amqp_url)
    monkeypatch.setenv("MANAGEMENT_URL", broker.management_url)
    monkeypatch.setenv("TIER_SECONDS", ",".join(map(str, FAST_TIERS_S)))
    monkeypatch.setenv("ARCHIVE_BYTES_MAX", str(SMALL_ARCHIVE_BYTES))

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run
