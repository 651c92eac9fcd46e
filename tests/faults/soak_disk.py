"""What a RabbitMQ node of this machine has on disk, in bytes, by what it is for."""

import re
from pathlib import Path

_OF_QUEUE = re.compile(r'queue_resource =>\s*\{resource,\s*<<"[^"]*">>,\s*queue,\s*<<"([^"]+)">>\}')


class NodeDisk:
    """The files of one node, under its folder.

    A quorum queue's folder is named by an id; the `config` in it, written when the queue is declared, names the queue
    (seen on 3.10.8 and 4.0.5).
    """

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._names: dict[Path, str] = {}

    def sample(self) -> dict[str, float]:
        """Bytes: `disk.queue.<name>` (segments and snapshots of its Raft log), `disk.wal` (the write-ahead log that
        all quorum queues share), `disk.stream` (the archive), `disk.broker rest`."""
        found: dict[str, float] = {"disk.wal": 0, "disk.stream": 0, "disk.broker rest": 0}
        for file in self._data.rglob("*"):
            series = self._series(file)
            found[series] = found.get(series, 0) + _size(file)
        return found

    def _series(self, file: Path) -> str:
        parts = file.relative_to(self._data).parts
        if "stream" in parts:
            return "disk.stream"
        if "quorum" in parts:
            if file.suffix == ".wal":
                return "disk.wal"
            at = parts.index("quorum") + 3
            if len(parts) > at:
                return f"disk.queue.{self._queue(self._data.joinpath(*parts[:at]))}"
        return "disk.broker rest"

    def _queue(self, folder: Path) -> str:
        if folder not in self._names:
            config = folder / "config"
            named = _OF_QUEUE.search(config.read_text(encoding="utf-8")) if config.exists() else None
            if named is None:
                return folder.name
            self._names[folder] = named[1]
        return self._names[folder]


def _size(file: Path) -> int:
    try:
        stat = file.lstat()
    except FileNotFoundError:  # removed since it was listed
        return 0
    return stat.st_blocks * 512  # what it takes, not how far it reaches: new files of the log are mostly holes
