"""Ends a process when the one that started it has ended, however it ended (kill -9 included), on Linux and macOS."""

import shlex
import subprocess

_WATCH = """\
is_it() {{ case "$(ps -ww -o args= -p {pid} 2>/dev/null)" in *{marker}*) true ;; *) false ;; esac; }}
read -r _
tries=10  # a shell script that is about to become the process does not bear the marker yet
until is_it || [ $((tries -= 1)) = 0 ]; do sleep 0.5; done
is_it && kill -{signal} {pid}
seconds={patience_s}
while [ $((seconds -= 1)) -ge 0 ] && is_it; do sleep 1; done
is_it && kill -KILL {pid}
"""


def tether(pid: int, *, marker: str, signal: str = "KILL", patience_s: int = 0) -> subprocess.Popen[bytes]:
    """A small watcher that waits for this process to end, and then ends the process `pid`.

    It notices by its standard input, a pipe whose other end only this process holds. The signal goes only to a
    process whose command line still contains `marker` (a pid may have passed on to somebody else). Close it with
    `untie` when the process has been ended in the ordinary way.

    Args:
        signal: `KILL`, or `TERM`, followed by `KILL` after `patience_s` more seconds.
    """
    script = _WATCH.format(pid=pid, marker=shlex.quote(marker), signal=signal, patience_s=patience_s)
    return subprocess.Popen(  # noqa: S603 - the arguments are ours
        ["/bin/sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # neither Ctrl-C nor a signal to the group of the one that it watches may end it
    )


def untie(watcher: subprocess.Popen[bytes]) -> None:
    """Ends the watcher without ending what it watches over."""
    watcher.kill()
    watcher.wait()
    if watcher.stdin is not None:
        watcher.stdin.close()
