"""A CUPS server of our own: every path private, its backend puts papers into a folder."""

import grp
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until
from printer.ipp_access import Access
from printer.ipp_client import IppPrinter

SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Debian keeps the servers where only root's PATH looks."""

BACKEND = """#!/bin/sh
# arguments: job, user, title, copies, options, and the file unless it comes on standard input (backend(7))
[ $# -eq 0 ] && exit 0
folder=/${DEVICE_URI#folder:/}
reason=$(cat $folder/hold 2>/dev/null)
[ -n "$reason" ] && echo "STATE: +$reason" >&2
while [ -e $folder/hold ]; do sleep 0.02; done
[ -n "$reason" ] && echo "STATE: -$reason" >&2
for fail in $folder/fail.*; do [ -e "$fail" ] && code=${fail##*.} && rm "$fail" && exit "$code"; done
paper=$folder/papers/"$3"."$$"
cat "${6:--}" > "$paper.part" && mv "$paper.part" "$paper.pdf"
"""
TYPES = """
application/pdf pdf string(0,%PDF)
application/octet-stream
application/vnd.cups-raw
"""
FILTER = """#!/bin/sh
cat "${6:--}"
"""
SERVER = """
ServerName localhost
LogLevel warn
Listen localhost:{port}
Listen {root}/run/socket
Browsing Off
WebInterface No
DefaultAuthType Basic
MaxJobs 500
DirtyCleanInterval {clean_s}
<Location />
  Order allow,deny
  Allow all
</Location>
<Policy default>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
<Policy login>
  <Limit All>
    Order deny,allow
  </Limit>
  <Limit Create-Job Send-Document>
    AuthType Basic
    Require valid-user
  </Limit>
</Policy>
"""
FILES = """
ServerRoot {root}/root
ServerBin {root}/library
DataDir {root}/data
DocumentRoot {root}/root
CacheDir {root}/cache
StateDir {root}/run
RequestRoot {root}/spool
TempDir {root}/tmp
ServerKeychain {root}/keys
ErrorLog {root}/log/error
AccessLog {root}/log/access
PageLog {root}/log/page
{user}
"""
FOLDERS = ("root", "library/backend", "library/filter", "data/mime", "cache", "run", "spool", "tmp", "keys", "log")


class Queue:
    """One printer of the server. Its papers are files."""

    def __init__(self, server: "CupsServer", name: str, folder: Path) -> None:
        self.server = server
        self.name = name
        self.folder = folder
        (folder / "papers").mkdir(parents=True)
        server.run("lpadmin", "-p", name, "-v", f"folder:{folder}", "-m", "raw", "-E")

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def path(self) -> str:
        return f"/printers/{self.name}"

    @property
    def uri(self) -> str:
        return f"ipp://localhost:{self.port}{self.path}"

    def set(self, option: str) -> None:
        """Set an option, as `printer-error-policy=abort-job`."""
        self.server.run("lpadmin", "-p", self.name, "-o", option)

    def stop(self) -> None:
        """Print nothing, as a person would say; what comes is taken and waits."""
        self.server.run("cupsdisable", self.name)

    def start(self) -> None:
        """Print again."""
        self.server.run("cupsenable", self.name)

    def reject(self) -> None:
        """Take no jobs."""
        self.server.run("cupsreject", self.name)

    def accept(self) -> None:
        """Take jobs again."""
        self.server.run("cupsaccept", self.name)

    def cancel(self, job_id: int) -> None:
        """Cancel the job, as a person would."""
        self.server.run("cancel", f"{self.name}-{job_id}")

    def hold(self, reason: str = "") -> None:
        """Print nothing until `go_on`, for that reason (of `printer-state-reasons`), or without a word."""
        (self.folder / "hold").write_text(reason)

    def go_on(self) -> None:
        (self.folder / "hold").unlink()

    def fail_next(self, code: int) -> None:
        """Let the backend end with that code for one more of the next jobs (backend(7): 1 is a failure, 4 stops)."""
        count = len(list(self.folder.glob("fail.*")))
        (self.folder / f"fail.{count}.{code}").touch()

    def papers(self) -> list[str]:
        """The names of the jobs on paper, one for each time."""
        return sorted(path.name.rsplit(".", 2)[0] for path in (self.folder / "papers").glob("*.pdf"))

    def paper(self, name: str) -> Path:
        """The paper of that job."""
        (path,) = (self.folder / "papers").glob(f"{name}.*.pdf")
        return path

    def print_another(self, name: str, user: str = "somebody") -> None:
        """Another person prints a page of that name."""
        page = self.folder / "page.pdf"
        page.write_text("%PDF-1.4\n%%EOF\n")
        self.server.run("lp", "-U", user, "-d", self.name, "-t", name, page)

    def client(self, access: Access | None = None) -> IppPrinter:
        return IppPrinter(self.uri, 4, access or Access())


class CupsServer:
    """A private `cupsd` on a free port.

    Args:
        clean_s: how long it keeps what it knows of jobs in memory before it writes it down.
    """

    def __init__(self, root: Path, clean_s: int = 30) -> None:
        self.root = root
        self._queues = 0
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True)
        (root / "library/daemon").symlink_to("/usr/lib/cups/daemon")  # cups-exec, which starts all the others
        # only its owner may run it: then it is run with cupsd's own rights (backend(7)), and papers may lie anywhere
        self._install("backend/folder", BACKEND, 0o700)
        (root / "data/mime/mime.types").write_text(TYPES)
        self._install("filter/gziptoany", FILTER, 0o755)  # comes in between where a job has two documents
        # as root it runs filters and external programs as somebody else, and insists on that
        user = "User nobody\nGroup nogroup\nSystemGroup root" if os.geteuid() == 0 else f"SystemGroup {_own_group()}"
        (root / "cups-files.conf").write_text(FILES.format(root=root, user=user))
        for _ in range(5):  # somebody may take a free port before we do
            self.port = free_port()
            (root / "cupsd.conf").write_text(SERVER.format(root=root, port=self.port, clean_s=clean_s))
            if self._start():
                return
        raise AssertionError((root / "log/error").read_text())

    def _install(self, name: str, script: str, mode: int) -> None:
        program = self.root / "library" / name
        program.write_text(script)
        program.chmod(mode)

    def queue(self) -> Queue:
        """A new printer."""
        self._queues += 1
        return Queue(self, f"queue{self._queues}", self.root / f"queue{self._queues}")

    def run(self, command: str, *args: object) -> None:
        """One of CUPS's commands for administrators."""
        program = shutil.which(command, path=SBIN) or command
        subprocess.run(
            [program, *map(str, args)],
            env={**os.environ, "CUPS_SERVER": str(self.root / "run/socket")},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def start(self) -> None:
        """Start it again, where it was."""
        wait_until(self._start, 30, what="CUPS starts again")

    def _start(self) -> bool:
        (self.root / "run/socket").unlink(missing_ok=True)
        logged = len(self._log_since(0).encode())
        self._process = subprocess.Popen(
            [
                shutil.which("cupsd", path=SBIN) or "cupsd",
                "-f",
                "-c",
                self.root / "cupsd.conf",
                "-s",
                self.root / "cups-files.conf",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: self._listens() or self._process.poll() is not None, 30, what="CUPS listens or ends")
        if "Address already in use" in self._log_since(logged):  # it goes on without the port
            self.kill()
        return self._process.poll() is None

    def _log_since(self, size: int) -> str:
        log = self.root / "log/error"
        return log.read_bytes()[size:].decode() if log.exists() else ""

    def kill(self) -> None:
        """End it at once, and what prints; it has no time to write anything down."""
        if self._process.poll() is not None:
            return
        os.kill(self._process.pid, signal.SIGSTOP)
        for child in _children(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it as an administrator would: it writes everything down."""
        self._process.terminate()
        self._process.wait(30)

    def _listens(self) -> bool:
        return (self.root / "run/socket").exists()


def _own_group() -> str:
    return grp.getgrgid(os.getegid()).gr_name


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
