"""Logging from native threads of a process that eventlet patched."""

import subprocess
import sys

LOGGERS = """
import eventbus.department.run
import sys
import eventlet
from eventlet import tpool
from eventbus import logs

sys.setswitchinterval(1e-6)  # threads meet in every critical section
logs.configure("test")
log = logs.get_logger("test")

def log_much(place):
    for number in range(300):
        log.info("met", place=place, number=number)
        if place == "hub":
            eventlet.sleep(0)

greenlets = [eventlet.spawn(log_much, "hub") for _ in range(2)]
greenlets += [eventlet.spawn(tpool.execute, log_much, "thread") for _ in range(3)]
for greenlet in greenlets:
    greenlet.wait()
"""


def test_native_threads_and_greenlets_log_at_the_same_time_and_none_waits_for_ever() -> None:
    ended = subprocess.run([sys.executable, "-c", LOGGERS], stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stderr.count('"event": "met"') == 5 * 300
