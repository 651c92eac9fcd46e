"""CUPS's `ippeveprinter`: a printer with one tray that takes one job at a time."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import requests
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until

from printer.ipp_client import IppPrinter
from printer.ipp_message import Tag
from printer.ipp_transport import IppTransport, Operation

IPPEVEPRINTER = shutil.which("ippeveprinter", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "ippeveprinter"
"""Debian keeps it where only root's PATH looks."""

PRINT_COMMAND = """#!/bin/sh
for file; do :; done
while [ -e {folder}/hold ]; do : > {folder}/held; sleep 0.02; done
for abort in {folder}/abort.*; do [ -e "$abort" ] && rm "$abort" && exit 1; done
case "$(tail -c 8 "$file")" in *%%EOF*) ;; *) exit 1;; esac
paper={folder}/papers/"$IPP_JOB_NAME"."$$"
cp "$file" "$paper.part" && mv "$paper.part" "$paper.pdf"
"""


@contextmanager
def message_bus(folder: Path) -> Iterator[str]:
    """The address of a D-Bus of one's own: ippeveprinter ends without one."""
    address = f"unix:path={folder / 'bus'}"
    daemon = subprocess.Popen(  # noqa: S603 - of the system
        ["dbus-daemon", "--session", f"--address={address}", "--nofork", "--nopidfile"],  # noqa: S607 - on the PATH
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((folder / "bus").exists, what="the message bus listens")
        yield address
    finally:
        daemon.terminate()
        daemon.wait()


class IppEvePrinter:
    """CUPS's `ippeveprinter` on a free port. Its papers are files; a document that is cut off is refused."""

    def __init__(self, folder: Path, bus: str) -> None:
        self.folder = folder
        self._bus = bus
        (folder / "papers").mkdir(parents=True)
        (folder / "spool").mkdir()
        self._command = folder / "print"
        self._command.write_text(PRINT_COMMAND.format(folder=folder))
        self._command.chmod(0o755)
        for _ in range(5):  # somebody may take a free port before we do
            self.port = free_port()
            if self._start("application/pdf"):
                return
        raise AssertionError((folder / "log").read_text())

    @property
    def uri(self) -> str:
        return f"ipp://localhost:{self.port}/ipp/print"

    def start(self, formats: str = "application/pdf") -> None:
        """Start it again, where it was."""
        wait_until(lambda: self._start(formats), what="the printer starts again")

    def _start(self, formats: str) -> bool:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - of the system
                [IPPEVEPRINTER, "-r", "off", "-p", str(self.port), "-n", "localhost", "-d", self.folder / "spool",
                 "-f", formats, "-c", self._command, "Test"],
                env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self._bus},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_until(lambda: self._listens() or self._process.poll() is not None, what="the printer listens or ends")
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once, with what it is printing. Started again it has forgotten all jobs."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it stands still, its connections stay open, until `resume`."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    @property
    def holds_job(self) -> bool:
        """Whether a document has arrived since `hold` that is not on paper."""
        return (self.folder / "held").exists()

    @property
    def aborts_left(self) -> int:
        """How many more jobs it will abort."""
        return len(list(self.folder.glob("abort.*")))

    def papers(self) -> list[str]:
        """The names of the jobs on paper, one for each time."""
        return sorted(path.name.rsplit(".", 2)[0] for path in (self.folder / "papers").glob("*.pdf"))

    def paper(self, name: str) -> Path:
        """The paper of that job."""
        (path,) = (self.folder / "papers").glob(f"{name}.*.pdf")
        return path

    def hold(self) -> None:
        """Print nothing until `go_on`."""
        (self.folder / "held").unlink(missing_ok=True)
        (self.folder / "hold").touch()

    def go_on(self) -> None:
        (self.folder / "hold").unlink(missing_ok=True)

    def abort_next(self) -> None:
        """Abort one more of the next jobs that would be printed."""
        tempfile.mkstemp(prefix="abort.", dir=self.folder)

    def accept_half_documents(self) -> None:
        """Print whatever arrived, as ippeveprinter does by itself."""
        self._command.write_text(
            f'#!/bin/sh\nfor file; do :; done\ncp "$file" {self.folder}/papers/"$IPP_JOB_NAME".1.pdf'
        )

    def empty_tray(self) -> None:
        """No paper is left, as its web page would say; only a restart fills the tray."""
        query = "size1=na_letter_8.5x11in&type1=stationery&level1=0&size3=&type3=&level3=0"
        requests.get(f"http://localhost:{self.port}/media?{query}", timeout=5).raise_for_status()

    def cancel(self, job_id: int) -> None:
        """Cancel the job, as a person would."""
        IppTransport(self.uri, 1).call(Operation.CANCEL_JOB, {"job-id": (Tag.INTEGER, job_id)})

    def client(self) -> IppPrinter:
        return IppPrinter(self.uri, connections=4)

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("localhost", self.port)) == 0
