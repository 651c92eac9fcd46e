"""Dependency providers: the maker of slips, and the printer that the settings name."""

import time
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from eventbus.contract import Event, OrderCreated
from eventbus.department import Outcome
from eventbus.logs import get_logger
from eventbus.settings import SettingsError
from eventlet import tpool
from eventlet.semaphore import Semaphore
from nameko.extensions import DependencyProvider

from printer import _metrics as metrics
from printer.classification import PrinterError
from printer.copies import Reprint
from printer.desk import Desk
from printer.folder import MISCONFIGURED, SlipFolder
from printer.folder_printer import FolderPrinter
from printer.ipp_client import PDF, IppPrinter
from printer.ipp_queue import IppQueue
from printer.papers import PAPERS
from printer.settings import PrinterSettings
from printer.slip import SlipMaker

log = get_logger(__name__)


class Printer(Protocol):
    """A printer, or what stands for one."""

    def print_once(self, event: Event[OrderCreated], desk: Desk) -> Outcome: ...
    def follow(self, desk: Desk) -> None: ...
    def close(self) -> None: ...


class PackingSlips(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Injects itself: makes slips in a native thread, one at a time, so that other greenlets go on."""

    def __init__(self) -> None:
        self._turn = Semaphore(1)
        self._maker: SlipMaker | None = None

    def setup(self) -> None:
        settings: PrinterSettings = self.container.config["settings"]
        self._maker = SlipMaker(PAPERS[settings.paper], settings.cjk, ZoneInfo(settings.timezone))
        if not self._maker.has_cjk:
            log.warning(
                "the package noto-cjk-sans-otc is not installed: Chinese, Japanese and Korean names are printed as "
                "code points"
            )

    def get_dependency(self, worker_ctx: Any) -> "PackingSlips":  # noqa: ARG002 - nameko's signature
        return self

    def render(self, order: OrderCreated, note: str | None = None, reprint: Reprint | None = None) -> bytes:
        """The slip as PDF, see `SlipMaker.render`."""
        assert self._maker is not None, "set up"
        began = time.perf_counter()
        with self._turn:
            pdf: bytes = tpool.execute(self._maker.render, order, note, reprint)
        metrics.RENDER_SECONDS.observe(time.perf_counter() - began)
        return pdf


class WarehousePrinter(DependencyProvider):  # type: ignore[misc]  # nameko has no types
    """Injects the printer of `printer_uri`. A printer that is off is no error at start; a folder that is wrong is."""

    def __init__(self) -> None:
        self._printer: Printer | None = None

    def setup(self) -> None:
        settings: PrinterSettings = self.container.config["settings"]
        if settings.folder is None:
            self._printer = _ipp_queue(settings)
            return
        folder = SlipFolder(settings.folder)
        try:
            tpool.execute(folder.prepare)
        except OSError as error:
            problem = error.strerror or type(error).__name__
            if error.errno in MISCONFIGURED:
                raise SettingsError(
                    "PRINTER_URI: expected a folder, or a name in one, that can be written and linked in, "
                    f"got: {settings.folder}: {problem}"
                ) from error
            log.warning("the folder of slips cannot be used now", reason=problem)
        self._printer = FolderPrinter(folder)

    def stop(self) -> None:
        if self._printer is not None:
            self._printer.close()

    def get_dependency(self, worker_ctx: Any) -> Printer:  # noqa: ARG002 - nameko's signature
        assert self._printer is not None, "set up"
        return self._printer


def _ipp_queue(settings: PrinterSettings) -> IppQueue:
    """The printer's queue. Raises SettingsError where the printer can be asked and takes no PDF."""
    printer = IppPrinter(settings.printer_uri, connections=settings.max_workers, access=settings.access)
    try:
        formats = printer.formats()
    except PrinterError as error:
        log.warning("the printer cannot be asked now whether it takes PDF", reason=error.reason)
        formats = (PDF,)
    if PDF not in formats:
        printer.close()
        raise SettingsError(f"PRINTER_URI: expected a printer that takes {PDF}, got one for {', '.join(formats)[:200]}")
    if settings.printer_user and settings.printer_uri.startswith("ipp:"):
        log.warning("the printer's password goes over the network as it is: use ipps:// where the printer has it")
    return IppQueue(
        printer,
        window=settings.window,
        media=PAPERS[settings.paper].media,
        forgets_done=settings.forgets == "done",
        repeats_lost=settings.lost == "repeat",
    )
