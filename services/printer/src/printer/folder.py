"""Slips as files of a folder: each `<order>.pdf` appears whole, and once."""

import errno
import os
import secrets
import stat
import time
from pathlib import Path

TEMPORARY_AGE_MAX_S = 3600.0
"""A temporary file older than this belongs to no living writer."""
MISCONFIGURED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS})
"""Errors of a wrong path or of rights, which no waiting mends. EPERM: a file system without links (link(2))."""


class SlipFolder:
    """A folder of slips. Writers on any number of processes may share it.

    A file is written under a temporary name and then linked to its own: `link` fails where the name exists, while
    `rename` would replace it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_prepared = False

    def prepare(self) -> None:
        """Make the folder in its parent, try that it can hold links, remove what killed writers left.

        Raises OSError when it cannot be used. A parent that is missing is not made: it is a mistyped path, or a disk
        that is not mounted.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except FileExistsError as error:  # a file, or a link to nothing
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.path)) from error
        probe = self._temporary("probe")
        linked = probe.with_suffix(".linked")
        try:
            _write(probe, b"")
            os.link(probe, linked)
        finally:
            probe.unlink(missing_ok=True)
            linked.unlink(missing_ok=True)
        for left in {*self.path.glob(".*.tmp"), *self.path.glob(".probe.*")}:
            if _age_s(left) > TEMPORARY_AGE_MAX_S:
                left.unlink(missing_ok=True)
        self._is_prepared = True

    def put_once(self, name: str, content: bytes) -> bool:
        """Write the file and return when it is on disk; False if it was there already, which is as good.

        Raises OSError when the folder cannot take it, also for something of that name that is no slip.
        """
        if not self._is_prepared:
            self.prepare()
        temporary = self._temporary(name)
        try:
            _write(temporary, content)
            try:
                os.link(temporary, self.path / name)
                is_new = True
            except FileExistsError:
                _check_slip(self.path / name)
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


def _check_slip(path: Path) -> None:
    """Raise FileExistsError for what cannot be a slip, so that nothing counts as printed that is not."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise FileExistsError(errno.EEXIST, f"{path.name} is there and is no regular file", str(path))
    if found.st_size == 0:
        raise FileExistsError(errno.EEXIST, f"{path.name} is there and is empty", str(path))


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
