"""Runs the sandbox in the foreground until SIGTERM or Ctrl-C, then books what it took."""

import signal
import sys
from types import FrameType

from eventbus.database import parse_url
from eventbus.settings import SettingsError, config_path, exit_configuration, load_or_exit

from eventbus import logs
from sap_sandbox.app import create_server
from sap_sandbox.settings import SandboxSettings

KEEP_ALIVE_S = 60
"""`icm/keep_alive_timeout`, default: SAP closes a connection idle for so long."""


def serve() -> None:
    """Serve until a signal comes. Exit code 0 after a drain, 78 for a wrong configuration."""
    try:
        path = config_path("sap_sandbox")
    except SettingsError as error:
        exit_configuration(str(error))
    settings = load_or_exit(SandboxSettings, path)
    try:
        parse_url(settings.database_url)
    except SettingsError as error:
        exit_configuration(str(error))
    logs.configure("sap_sandbox")
    server = create_server(settings, host=settings.host, port=settings.port, timeout_keep_alive=KEEP_ALIVE_S)
    # uvicorn drains on these signals, then restores our handlers and raises the signal again
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    server.run()


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
