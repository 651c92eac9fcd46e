"""What the printer counts beside what every department counts. No label names an order or a person."""

from prometheus_client import Counter, Gauge, Histogram

SLIPS = Counter("printer_slips_total", "Slips by how they ended", ["end"])
OPEN_JOBS = Gauge("printer_open_jobs", "Slips accepted and not finished, as in the ledger: all replicas tell the same")
TROUBLE = Gauge("printer_waits_for_person", "1: slips wait, and the printer is stopped, jammed or out of something")
RENDER_SECONDS = Histogram(
    "printer_render_seconds",
    "Time to make a slip, waiting for the compiler included",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
