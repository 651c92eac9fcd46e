"""A department's process: `main("printer.service:PrinterService")`.

Importing this module makes eventlet take over sockets, sleeps and locks: import it before anything else.
"""

import os

os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")  # psycopg's C wait would hold every greenlet

import warnings

warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
warnings.filterwarnings("ignore", module="eventlet")

import eventlet

eventlet.monkey_patch()

from eventbus.department._native_logging import give_logging_native_locks

give_logging_native_locks()

import importlib
import importlib.metadata
import logging
import signal
import sys
import traceback
from typing import Any

from eventbus import logs
from eventbus.contract.routing import RESERVED_DEPARTMENT
from eventbus.department.container import BusContainer
from eventbus.department.settings import DepartmentSettings
from eventbus.logs import get_logger
from eventbus.settings import SettingsError, config_path, exit_configuration, load_or_exit

EXIT_DRAIN_OVERRUN = 75
"""EX_TEMPFAIL of sysexits.h: the drain took too long, the process was ended by its watchdog."""
DRAIN_MARGIN_S = 3.0

native_threading = eventlet.patcher.original("threading")
log = get_logger(__name__)


def main(target: str, settings: DepartmentSettings | None = None) -> None:
    """Run a department until SIGTERM or SIGINT, then drain and return; a wrong configuration exits with 78.

    Args:
        target: `module:Class` of the service.
        settings: instead of those in its package's `config.yaml`.
    """
    module, _, name = target.partition(":")
    service = getattr(importlib.import_module(module), name)
    package = module.partition(".")[0]
    if settings is None:
        settings = load_settings(service, package)
    if settings.department == RESERVED_DEPARTMENT != service.name:
        exit_configuration(f"department: expected another name than {RESERVED_DEPARTMENT}, which is the tracker's")
    logs.configure(settings.department)
    logging.getLogger("nameko.containers").addFilter(_tidy)
    misconfigured: list[str] = []

    def on_misconfigured(line: str) -> None:
        misconfigured.append(line)
        eventlet.spawn_n(container.stop)

    config = {
        "settings": settings,
        "max_workers": settings.max_workers,
        "version": _version(package),
        "on_misconfigured": on_misconfigured,
    }
    container = BusContainer(service, config)
    started: list[bool] = []
    _stop_on_signal(container, started, settings.drain_s)
    try:
        container.start()
        started.append(True)
        container.wait()
    except SettingsError as error:
        exit_configuration(str(error))
    if misconfigured:
        exit_configuration(misconfigured[0])
    sys.exit(0)


def load_settings(service: Any, package: str) -> Any:
    """The settings of a department from its package's `config.yaml`, or exit with 78."""
    try:
        path = config_path(package)
    except SettingsError as error:
        exit_configuration(str(error))
    return load_or_exit(getattr(service, "settings_class", DepartmentSettings), path)


def _tidy(record: logging.LogRecord) -> bool:
    """Whether nameko's record is logged. Verdicts are not: our own line on them says more. Of a bug the type and the
    places are, not its text, which may hold a customer's name."""
    if str(record.msg).startswith("(expected)"):
        return False
    if record.exc_info and record.exc_info[0] is not None:
        places = "".join(traceback.format_tb(record.exc_info[2]))
        record.msg, record.args = "bug in the handler: %s\n%s", (record.exc_info[0].__name__, places)
        record.exc_info = None
    return True


def _version(package: str) -> str:
    """The version of the distribution that brings the package: one that names it, or whose own name ends with its."""
    suffix = package.replace("_", "-")
    named = importlib.metadata.packages_distributions().get(package, [])
    installed = sorted(each.name for each in importlib.metadata.distributions())
    similar = [name for name in installed if name.lower().replace("_", "-").endswith(suffix)]
    return next((importlib.metadata.version(name) for name in (*named, *similar)), "unknown")


def _stop_on_signal(container: BusContainer, started: list[bool], drain_s: float) -> None:
    stopping = False

    def stop(_signum: int, _frame: Any) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
        if not started:  # still waiting for the database: nothing is in hand
            os._exit(0)
        # a native thread: it ends the process even while a C call holds the hub
        watchdog = native_threading.Timer(drain_s + DRAIN_MARGIN_S, os._exit, (EXIT_DRAIN_OVERRUN,))
        watchdog.daemon = True
        watchdog.start()
        eventlet.spawn_n(container.stop)  # a signal handler may not block

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


if __name__ == "__main__":
    main(sys.argv[1])
