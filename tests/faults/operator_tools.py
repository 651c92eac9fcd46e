"""An operator at the shop's broker: real `bus` processes, with an operator's user and its rights alone."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from eventbus.operator.connection import as_user
from eventbus.rights import OPERATOR

from .shop import Shop

COMMAND_DEADLINE_S = 60.0
BUS = Path(sys.executable).with_name("bus")


class Operator:
    """Starts `bus` commands."""

    def __init__(self, shop: Shop) -> None:
        amqp_url = shop.broker.url_of(OPERATOR)
        login = urlsplit(amqp_url)
        management_url = as_user(shop.broker.management_url, login.username or "", login.password or "")
        self._environ = {**os.environ, "AMQP_URL": amqp_url, "MANAGEMENT_URL": management_url}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """That command under way: `start("dead", "redrive", "printer")`."""
        return subprocess.Popen(
            [BUS, *arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """What the command printed. Raises AssertionError where it failed."""
        code, output = ended(self.start(*arguments))
        assert code == 0, output
        return output


def ended(command: "subprocess.Popen[str]") -> tuple[int, str]:
    """The command's exit code, and what it printed."""
    try:
        output = command.communicate(timeout=COMMAND_DEADLINE_S)[0]
    except subprocess.TimeoutExpired:
        command.kill()
        raise AssertionError(f"a command hung: {command.communicate()[0]}") from None
    return command.returncode, output


def numbers(output: str, what: str = "redriven") -> list[str]:
    """The orders of whose messages a command says so, one for each time."""
    lines = (line.split() for line in output.splitlines())
    return [words[2] for words in lines if len(words) > 3 and words[0] == what]
