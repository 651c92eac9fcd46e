"""Who holds a lease: one worker at one delivery, and whether its process can still be alive.

A lease has to outlast the longest call of a target. When the owner's process has died on this very machine, nobody
needs to wait for that: its successor sees that it is gone.
"""

import hashlib
import os
import socket
import uuid
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def new_owner() -> str:
    """A name for one worker at one delivery, at most 64 characters: machine, process, its start, and a random part."""
    pid = os.getpid()
    try:
        started = _started(pid) or "-"
    except PermissionError:  # no /proc here
        started = "-"
    return f"{_machine()}/{pid}/{started}/{uuid.uuid4().hex[:12]}"


def is_gone(owner: str | None) -> bool:
    """Whether the owner's process is known to have ended. False wherever that cannot be told: on another machine, in
    another container, without `/proc` (macOS)."""
    parts = (owner or "").split("/")
    if len(parts) != 4 or parts[0] != _machine() or parts[2] == "-" or not parts[1].isdecimal():
        return False
    try:
        return _started(int(parts[1])) != parts[2]
    except PermissionError:
        return False


@cache
def _machine() -> str:
    # the boot and the namespace of process ids: two containers of one name must not judge each other's processes
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        boot, namespace = uuid.uuid4().hex, ""
    return hashlib.sha256(f"{boot} {namespace} {socket.gethostname()}".encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """When the process started, in clock ticks since boot (field 22 of proc(5)'s stat), or None if there is none.

    Raises PermissionError where another user's processes are hidden.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        raise PermissionError(f"process {pid} is there and cannot be looked at") from None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    state, started = fields[0], fields[19]
    return None if state == "Z" else started
