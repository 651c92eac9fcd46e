"""Memory, file handles and threads of processes, and how many samples their `/metrics` has."""

from collections.abc import Mapping

import psutil

from .program import Program
from .shop import Shop


def sample(shop: Shop) -> dict[str, float]:
    """Of every process of the shop: `memory.<name>` (resident bytes; of PostgreSQL, whose sessions share memory, what
    each has for itself), `handles.<name>`, `threads.<name>`, `metrics.<name>` (lines)."""
    found: dict[str, float] = {}
    for name, program in shop.programs.items():
        if program.is_running:
            found |= _of_process(name, program.pid)
            found |= _of_metrics(name, program)
    if shop.node.pid:
        found |= _of_process("rabbitmq", shop.node.pid)
    if shop.server is not None and shop.server.pid:
        found |= _of_family("postgresql", shop.server.pid)
    return found


def _of_process(name: str, pid: int) -> dict[str, float]:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            spent = process.cpu_times()
            return {
                f"memory.{name}": process.memory_info().rss,
                f"handles.{name}": process.num_fds(),
                f"threads.{name}": process.num_threads(),
                f"cpu.{name}": spent.user + spent.system,
            }
    except psutil.NoSuchProcess:
        return {}


def _of_family(name: str, pid: int) -> dict[str, float]:
    total: dict[str, float] = {}
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        try:
            own = {"memory": process.memory_full_info().uss, "handles": process.num_fds(), "threads": 1}
        except psutil.NoSuchProcess:  # a session that ended since it was listed
            continue
        for kind, value in own.items():
            total[f"{kind}.{name}"] = total.get(f"{kind}.{name}", 0) + value
    return total


def _of_metrics(name: str, program: Program) -> Mapping[str, float]:
    status, text = program.get("/metrics")
    return {f"metrics.{name}": len(text.splitlines())} if status == 200 else {}
