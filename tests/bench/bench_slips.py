"""How many packing slips a second one core makes, how large they are, and how long making them holds the hub.

    python tests/bench/bench_slips.py [--slips 200]

Slips a second are by CPU time, of all threads: the machine's other work does not count. The hub is what every greenlet
of the department waits for; it is watched while the department's own provider makes slips in its native thread.
"""

import argparse
import statistics
import time
import warnings
from datetime import UTC, datetime
from types import SimpleNamespace

from eventbus.settings import config_path, load
from eventbus.testing import an_order
from printer.copies import Reprint
from printer.papers import PAPERS
from printer.settings import PrinterSettings
from printer.slip import SlipMaker

NAMES = {
    "Latin": "Daníel Þór Guðmundsdóttir",
    "Cyrillic": "Анна Петрова-Сидоренко",
    "Greek": "Γιώργος Παπαδόπουλος",
    "Arabic": "محمد بن عبد الله الفارسي",
    "Hebrew": "דָּוִד בן־גוריון",
    "Devanagari": "श्रीमती क्षिप्रा त्रिपाठी",
    "Thai": "นางสาวกรุงเทพ ศรีสุวรรณ์",
    "Chinese": "王小明",
    "Japanese": "山田 太郎(ヤマダ)",
    "Korean": "김민수",
}
LINES_MAX = 500
PAUSE_S = 0.0005


def cpu_ms(
    maker: SlipMaker, slips: int, name: str, lines: int = 3, reprint: Reprint | None = None
) -> tuple[float, int]:
    """CPU ms and bytes of one slip; each order has a number of its own, so nothing is remembered of the one before."""
    orders = [an_order(customer_name=name, product_ids=range(1, lines + 1)) for _ in range(slips + 1)]
    maker.render(orders.pop(), None, reprint)  # loads the script's font
    began = time.process_time()
    sizes = [len(maker.render(order, None, reprint)) for order in orders]
    return (time.process_time() - began) / slips * 1000, int(statistics.mean(sizes))


def hub_ms(lines: int, slips: int, at_once: int) -> tuple[float, float]:
    """Median over the slips' rounds and maximum, in ms, of the longest time for which no greenlet ran."""
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet
    from printer.warehouse_printer import PackingSlips

    provider = PackingSlips()
    settings = load(PrinterSettings, config_path("printer"), {"PRINTER_URI": "file:///nowhere"})
    provider.container = SimpleNamespace(config={"settings": settings})
    provider.setup()
    provider.render(an_order())
    longest: list[float] = []
    for _ in range(slips):
        pool = eventlet.GreenPool()
        for _ in range(at_once):
            pool.spawn(provider.render, an_order(product_ids=range(1, lines + 1)))
        worst, last = 0.0, time.perf_counter()
        while pool.running():
            eventlet.sleep(PAUSE_S)
            now = time.perf_counter()
            worst, last = max(worst, now - last - PAUSE_S), now
        longest.append(worst * 1000)
    return statistics.median(longest), max(longest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slips", type=int, default=200)
    slips: int = parser.parse_args().slips
    print("| slip of 3 lines | paper | slips/s on one core | kB |\n|---|---|---|---|")
    for paper in PAPERS:
        maker = SlipMaker(PAPERS[paper])
        for script, name in NAMES.items():
            ms, size = cpu_ms(maker, slips, name)
            print(f"| {script} | {paper} | {1000 / ms:.0f} | {size / 1000:.0f} |", flush=True)
        reprint = Reprint(2, "torn", datetime(2026, 11, 24, 10, 12, tzinfo=UTC))
        ms, size = cpu_ms(maker, slips, NAMES["Latin"], reprint=reprint)
        print(f"| Latin, reprint | {paper} | {1000 / ms:.0f} | {size / 1000:.0f} |", flush=True)
        ms, size = cpu_ms(maker, max(1, slips // 10), NAMES["Latin"], LINES_MAX)
        print(f"| Latin, {LINES_MAX} lines | {paper} | {1000 / ms:.0f} | {size / 1000:.0f} |", flush=True)
    print("\n| hub held while a slip is made | median ms | longest ms |\n|---|---|---|")
    for lines, at_once, what in (
        (3, 1, "3 lines"),
        (3, 20, "3 lines, 20 workers at once"),
        (LINES_MAX, 1, f"{LINES_MAX} lines"),
        (LINES_MAX, 5, f"{LINES_MAX} lines, 5 workers at once"),
    ):
        median, longest = hub_ms(lines, max(1, slips // 10), at_once)
        print(f"| {what} | {median:.1f} | {longest:.1f} |", flush=True)


if __name__ == "__main__":
    main()
