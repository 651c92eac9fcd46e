"""Who holds a lease: one worker at one delivery, and whether it can still be alive.

A lease has to outlast the longest call of a target. When the owner's process has died on this very machine, or when its
greenlet of this very process has ended (the database was away when it wanted to give the lease up), nobody needs to
wait for that: its successor sees that it is gone.
"""

import hashlib
import os
import socket
import uuid
from functools import cache
from pathlib import Path
from weakref import WeakValueDictionary

from greenlet import getcurrent, greenlet

_PROC = Path("/proc")
_BY_PROCESS = "p"

_greenlets: WeakValueDictionary[str, greenlet] = WeakValueDictionary()
"""Of this process's owners."""


def new_owner() -> str:
    """A name for one worker at one delivery: the running greenlet, for as long as it lives. At most 64 characters:
    machine, process, its start, and a random part."""
    owner = _named("")
    _greenlets[owner] = getcurrent()
    return owner


def process_owner() -> str:
    """A name like `new_owner`'s for something that lives as long as this process."""
    return _named(_BY_PROCESS)


def _named(kind: str) -> str:
    pid = os.getpid()
    try:
        started = _started(pid) or "-"
    except PermissionError:  # no /proc here
        started = "-"
    return f"{_machine()}/{pid}/{started}/{kind}{uuid.uuid4().hex[:12]}"


def is_gone(owner: str | None) -> bool:
    """Whether the owner is known to have ended, alone or with its process. False wherever that cannot be told: on
    another machine, in another container, without `/proc` (macOS)."""
    parts = (owner or "").split("/")
    if owner is None or len(parts) != 4 or parts[0] != _machine() or parts[2] == "-" or not parts[1].isdecimal():
        return False
    pid, started, name = int(parts[1]), parts[2], parts[3]
    try:
        if _started(pid) != started:
            return True
    except PermissionError:
        return False
    if pid != os.getpid() or name.startswith(_BY_PROCESS):
        return False
    holder = _greenlets.get(owner)
    return holder is None or holder.dead


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
