"""Lines for the one who waits: what is being done, how long it took, and why it failed. Standard library only."""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TICK_S = 4.0
FAILURE_LINES = 15


class StepError(Exception):
    """A step failed. The text says which one, and why."""


def say(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(
    title: str,
    command: Sequence[str],
    log: Path,
    *,
    sign_of_life: Callable[[str], str | None],
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs a command that takes a while: its output goes to `log`, a line in between tells how far it is.

    Raises:
        StepError: it failed; with the last lines of its output.
    """
    say(f"{title} …")
    started = said = time.monotonic()
    tail: deque[str] = deque(maxlen=FAILURE_LINES)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            sign = sign_of_life(line.strip())
            if sign is None:
                tail.append(line.rstrip())
            elif time.monotonic() - said > TICK_S:
                said = time.monotonic()
                say(f"  {said - started:3.0f} s  {sign[:100]}")
    if process.returncode:
        raise StepError("\n".join([f"{title}: failed (code {process.returncode}), all of it in {log}:", *tail]))
    say(f"  done in {time.monotonic() - started:.0f} s")
