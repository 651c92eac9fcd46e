"""A disk of a few megabytes that a test can fill: a tmpfs, for which one has to be root."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK_BYTES = 4096


class SmallDisk:
    """Mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave not a single block free."""
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(BLOCK_BYTES))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Take away what `fill` has put there."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, megabytes: int, owner: str | None) -> Iterator[SmallDisk]:
    """A small disk at a new folder, of that account. Skips the test without root."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small disk and fills it")
    path.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs root that may mount: {mounted.stderr.strip()}")
    try:
        if owner is not None:
            shutil.chown(path, owner)
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
        path.rmdir()
