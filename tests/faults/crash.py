"""Kills a process by SIGKILL at a named point of the product's code, which itself knows nothing of it.

`python crash.py --at module:Class.method --when before|after --call 3 -- -m orders relay` runs the command after the
dashes and dies at the third call of that method, before it or when it has returned. With `--argument text` only calls
count among whose arguments that text stands; with `--signal STOP` it stands still there, until somebody sends SIGCONT.
"""

import argparse
import importlib.abc
import importlib.machinery
import inspect
import itertools
import os
import runpy
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Where a process dies.

    Args:
        at: `module:function` or `module:Class.method` of the product. One that does not exist ends the process at once
            with a message: a crash point that code outgrew is not passed silently.
        when: `before` the call, or `after` it has returned.
        call: which call, from 1 on; with `after` of those that have returned.
        argument: only calls count whose arguments, as `repr` shows them, hold this text: so one event kills.
        signal: `KILL`, or `STOP`: it freezes, and goes on at SIGCONT.
    """

    at: str
    when: str = "before"
    call: int = 1
    argument: str = ""
    signal: str = "KILL"

    @property
    def arguments(self) -> tuple[str, ...]:
        options = {"at": self.at, "when": self.when, "call": str(self.call)}
        options |= {"argument": self.argument, "signal": self.signal}
        return tuple(part for name, value in options.items() for part in (f"--{name}", value))

    def __str__(self) -> str:
        return f"{self.when} {self.at.replace(':', '.')}"


def _deadly(function: Callable[..., Any], point: CrashPoint) -> Callable[..., Any]:
    calls = itertools.count(1)  # several threads may call at once

    def die() -> None:
        os.kill(os.getpid(), signal.Signals[f"SIG{point.signal}"])

    def is_the_one(arguments: object) -> bool:
        if point.argument and point.argument not in repr(arguments):
            return False
        return next(calls) == point.call

    async def deadly_coroutine(*args: Any, **kwargs: Any) -> Any:
        if point.when == "before" and is_the_one((args, kwargs)):
            die()
        result = await function(*args, **kwargs)
        if point.when == "after" and is_the_one((args, kwargs)):
            die()
        return result

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if point.when == "before" and is_the_one((args, kwargs)):
            die()
        result = function(*args, **kwargs)
        if point.when == "after" and is_the_one((args, kwargs)):
            die()
        return result

    return deadly_coroutine if inspect.iscoroutinefunction(function) else deadly


def _arm(module: ModuleType, point: CrashPoint) -> None:
    *outer, name = point.at.partition(":")[2].split(".")
    owner: Any = module
    for part in outer:
        owner = getattr(owner, part)
    function = inspect.getattr_static(owner, name)
    if isinstance(function, staticmethod | classmethod):
        setattr(owner, name, type(function)(_deadly(function.__func__, point)))
    else:
        setattr(owner, name, _deadly(function, point))


class _ArmingFinder(importlib.abc.MetaPathFinder):
    """Arms the module when the program imports it: importing it earlier would come before eventlet's patching."""

    def __init__(self, module: str, arm: Callable[[ModuleType], None]) -> None:
        self._module = module
        self._arm = arm

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        run, arm = spec.loader.exec_module, self._arm

        def run_and_arm(module: ModuleType) -> None:
            run(module)
            arm(module)

        spec.loader.exec_module = run_and_arm  # type: ignore[method-assign]
        return spec


def main(arguments: list[str]) -> None:
    """Run the command after `--`, in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--at", required=True)
    parser.add_argument("--when", choices=("before", "after"), required=True)
    parser.add_argument("--call", type=int, required=True)
    parser.add_argument("--signal", choices=("KILL", "STOP"), default="KILL")
    parser.add_argument("--argument", default="")
    own, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    options = parser.parse_args(own)
    point = CrashPoint(**vars(options))
    module = point.at.partition(":")[0]
    sys.meta_path.insert(0, _ArmingFinder(module, lambda found: _arm(found, point)))
    dash_m, target, *rest = command
    assert dash_m == "-m", f"expected -m module, got {command}"
    sys.argv = [target, *rest]
    sys.path[0] = os.getcwd()
    runpy.run_module(target, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
