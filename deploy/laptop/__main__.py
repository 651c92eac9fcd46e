"""`python deploy/laptop run` and `python deploy/laptop demo`: what `make run` and `make demo` do."""

import argparse
import os
import sys
from pathlib import Path

from demo import demonstrate
from launch import Interrupted, Launch, sole
from progress import StepError, say

ROOT = Path(__file__).absolute().parents[2]
RUN = ROOT / "var" / "run"


def run() -> int:
    with sole(RUN):
        say("Starting")
        with Launch(ROOT, RUN) as launch:
            try:
                _greet(launch)
                launch.watch()
            except Interrupted:
                say()
        say("Stopped")
    return 0


def _greet(launch: Launch) -> None:
    say()
    for line in (*launch.services.show, launch.broker.console):
        title, _, rest = line.partition(": ")
        say(f"  {title + ':':<28} {rest}")
    say(f"  {'Logs:':<28} {os.path.relpath(RUN / 'log')}/")
    say(f"  {'Variables for a shell:':<28} . {os.path.relpath(RUN / 'env')}")
    if gateway := launch.variables.get("GATEWAY_URL"):
        say(f"\nPlace an order:\n  curl -s {gateway}/orders -H 'Content-Type: application/json' \\")
        say("""    -d '{"customer_name": "Daníel", "products_ids": [2, 4, 42]}'""")
    say("\nCtrl-C stops everything.")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python deploy/laptop", description=__doc__)
    parser.add_argument("command", choices=["run", "demo"])
    command = parser.parse_args().command
    try:
        return run() if command == "run" else demonstrate(ROOT)
    except StepError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Interrupted:
        say("Stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
