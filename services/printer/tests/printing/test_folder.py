"""Slips in a folder: each file whole, and once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from eventbus.department import Blocked, Done
from eventbus.testing.builders import an_event
from eventbus.testing.waiting import wait_until
from printer.folder import TEMPORARY_AGE_MAX_S, SlipFolder
from printer.folder_printer import FolderPrinter

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


def test_folder_that_cannot_be_made_is_an_error_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        SlipFolder(tmp_path / "file" / "slips").prepare()
