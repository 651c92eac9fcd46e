"""`make bench`: all benchmarks one after the other, printed and kept under var/bench/.

python tests/bench [department | post_orders | relay] …
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "var" / "bench"


def main(names: list[str]) -> int:
    """Run the benchmarks of these names, or all. Returns the first exit code that is not 0."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if unknown := set(names) - set(known):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names or known:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(HERE / f"bench_{name}.py")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            with (RESULTS / f"{name}.txt").open("w") as kept:
                for line in running.stdout:
                    print(line, end="", flush=True)
                    kept.write(line)
        if running.returncode:
            return running.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
