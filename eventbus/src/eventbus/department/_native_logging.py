"""Logging for processes that eventlet patched and that also have native threads (`eventlet.tpool`).

A greenlet waiting for one of eventlet's locks is woken in the thread that gives the lock back. When that is another
native thread, the switch fails and the waiter sleeps for ever: a transaction that logged in a thread of `tpool` at the
moment the hub logged too hung its worker, and all behind it.
"""

import logging
from typing import Any

import eventlet


def give_logging_native_locks() -> None:
    """Let any native thread log. Call it after `monkey_patch` and before handlers are made.

    A greenlet holds such a lock only while it formats and writes one line, and switches to no other in that time.
    """
    native_threading = eventlet.patcher.original("threading")
    module: Any = logging
    module.threading = native_threading  # makes the handlers' locks; also asked for each record's thread
    module._lock = native_threading.RLock()  # the module's own, made when it was imported
