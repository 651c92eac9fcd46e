"""Slips as files of a folder: each `<order>.pdf` appears whole, and once."""

import os
import secrets
import time
from pathlib import Path

TEMPORARY_AGE_MAX_S = 3600.0
"""A temporary file older than this belongs to no living writer."""


class SlipFolder:
    """A folder of slips. Writers on any number of processes may share it.

    A file is written under a temporary name and then linked to its own: `link` fails where the name exists, while
    `rename` would replace it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the folder, try that it can hold links, remove what killed writers left.

        Raises OSError when it cannot be used.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        probe = self._temporary("probe")
        linked = probe.with_suffix(".linked")
        try:
            _write(probe, b"")
            os.link(probe, linked)
        finally:
            probe.unlink(missing_ok=True)
            linked.unlink(missing_ok=True)
        for left in self.path.glob(".*.tmp"):
            if _age_s(left) > TEMPORARY_AGE_MAX_S:
                left.unlink(missing_ok=True)

    def put_once(self, name: str, content: bytes) -> bool:
        """Write the file and return when it is on disk; False if it was there already, which is as good.

        Raises OSError when the folder cannot take it.
        """
        temporary = self._temporary(name)
        try:
            _write(temporary, content)
            try:
                os.link(temporary, self.path / name)
                is_new = True
            except FileExistsError:
                is_new = False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(self.path)  # also for a writer that was killed before it could
        return is_new

    def _temporary(self, name: str) -> Path:
        return self.path / f".{name}.{secrets.token_hex(8)}.tmp"


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Only then does the name outlive a power cut (open(2), fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:  # its writer is done
        return 0.0
