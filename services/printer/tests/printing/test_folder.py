"""Slips in a folder: each file whole, and once."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eventbus.department import Blocked, Done, InHand
from eventbus.settings import SettingsError, config_path, load
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer.folder import TEMPORARY_AGE_MAX_S, SlipFolder
from printer.folder_printer import FolderPrinter
from printer.ipp_queue import IppQueue
from printer.settings import PrinterSettings
from printer.warehouse_printer import WarehousePrinter

WRITER = """
import sys
from pathlib import Path
from printer.folder import SlipFolder
folder = SlipFolder(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    folder.put_once(f"{number:03d}.pdf", (f"%PDF {number} " + "x" * 20000 + "%%EOF").encode())
"""
FILES = 60


@pytest.fixture
def folder(tmp_path: Path) -> SlipFolder:
    made = SlipFolder(tmp_path / "slips")
    made.prepare()
    return made


def test_order_is_one_file_and_done(folder: SlipFolder, desk: Any) -> None:
    printer, event = FolderPrinter(folder), an_event()
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")
    assert [path.name for path in folder.path.iterdir()] == [f"{event.subject}.pdf"]
    assert (folder.path / f"{event.subject}.pdf").read_bytes().startswith(b"%PDF-")


def test_redelivered_order_is_not_written_again_even_when_its_file_was_taken(folder: SlipFolder, desk: Any) -> None:
    printer, event = FolderPrinter(folder), an_event()
    printer.print_once(event, desk)
    (folder.path / f"{event.subject}.pdf").unlink()
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")
    assert list(folder.path.iterdir()) == []


def test_file_that_a_killed_worker_left_counts_as_printed(folder: SlipFolder, desk: Any) -> None:
    printer, event = FolderPrinter(folder), an_event()
    folder.put_once(f"{event.subject}.pdf", b"the first one's")
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")
    assert (folder.path / f"{event.subject}.pdf").read_bytes() == b"the first one's"


def test_folder_that_is_gone_blocks_the_department_until_it_is_back(folder: SlipFolder, desk: Any) -> None:
    printer, event = FolderPrinter(folder), an_event()
    folder.path.rmdir()
    with pytest.raises(Blocked, match="No such file"):
        printer.print_once(event, desk)
    folder.path.mkdir()
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")


def test_eight_writers_of_which_four_are_killed_leave_whole_files_only(folder: SlipFolder) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder.path), str(FILES)]) for _ in range(8)]
    for count, writer in enumerate(writers[:4], start=1):
        wait_until(lambda count=count: len(list(folder.path.glob("*.pdf"))) >= 5 * count)  # type: ignore[misc]
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        writer.wait()
    contents = {path.name: path.read_bytes() for path in folder.path.glob("*.pdf")}
    assert contents == {
        f"{number:03d}.pdf": (f"%PDF {number} " + "x" * 20000 + "%%EOF").encode() for number in range(FILES)
    }


def test_old_leftovers_are_swept_at_start_and_new_ones_are_not(folder: SlipFolder) -> None:
    old, new = folder.path / ".a.pdf.1.tmp", folder.path / ".b.pdf.2.tmp"
    old.touch()
    new.touch()
    long_ago = time.time() - TEMPORARY_AGE_MAX_S - 60
    os.utime(old, (long_ago, long_ago))
    folder.prepare()
    assert [path.name for path in folder.path.iterdir()] == [new.name]


def test_probe_that_a_killed_start_left_is_swept(folder: SlipFolder) -> None:
    left = folder.path / ".probe.1.linked"
    left.touch()
    os.utime(left, (0, 0))
    folder.prepare()
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.touch(), "is there and is empty"),
        (lambda path: path.mkdir(), "is there and is no regular file"),
        (lambda path: path.symlink_to("nowhere"), "is there and is no regular file"),
    ],
    ids=["empty", "folder", "link"],
)
def test_something_else_under_the_slips_name_is_not_taken_for_it(
    folder: SlipFolder, desk: Any, make: Callable[[Path], None], reason: str
) -> None:
    printer, event = FolderPrinter(folder), an_event()
    make(folder.path / f"{event.subject}.pdf")
    with pytest.raises(Blocked, match=f"{event.subject}.pdf {reason}"):
        printer.print_once(event, desk)


def test_parent_that_is_missing_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SlipFolder(tmp_path / "not mounted" / "slips").prepare()
    assert list(tmp_path.iterdir()) == []


def start(folder: Path) -> WarehousePrinter:
    """The provider, set up as in a department."""
    settings = load(PrinterSettings, config_path("printer", {}), {"PRINTER_URI": f"file://{folder}"})
    provider = WarehousePrinter()
    provider.container = SimpleNamespace(config={"settings": settings})
    provider.setup()
    return provider


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS])
def test_folder_that_no_waiting_mends_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing_with(number))
    with pytest.raises(SettingsError, match=os.strerror(number)):
        start(tmp_path / "slips")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_folder_that_is_full_or_ill_at_start_blocks_until_it_is_well(
    tmp_path: Path, desk: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    event = an_event()
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", failing_with(number))
        printer = start(tmp_path / "slips").get_dependency(None)
        with pytest.raises(Blocked, match=os.strerror(number)):
            printer.print_once(event, desk)
    assert printer.print_once(event, desk) == Done(f"{event.subject}.pdf")


def failing_with(number: int) -> Callable[..., None]:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("is_redelivered", [True, False])
def test_slip_that_a_printer_has_is_not_written_too_when_the_settings_change(
    ippeveprinter: Any, folder: SlipFolder, desk: Any, is_redelivered: bool
) -> None:
    event, printer = an_event(), FolderPrinter(folder)
    IppQueue(ippeveprinter.client(), window=20, media="iso_a4_210x297mm").print_once(event, desk)
    if is_redelivered:
        assert printer.print_once(event, desk) == InHand("job 1")
    printer.follow(desk)
    assert desk.results.states(event.subject) == ["attention"]
    assert desk.results.published[0]["detail"].startswith("printer changed: job 1")
    assert printer.print_once(event, desk) == InHand("job 1")
    assert list(folder.path.iterdir()) == []


def test_folder_that_cannot_be_made_is_an_error_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        SlipFolder(tmp_path / "file" / "slips").prepare()
