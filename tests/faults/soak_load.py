"""What goes on during a soak: orders at a steady rate, targets that fail at a steady rate, poison, a busy printer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from eventbus.topology import DEPARTMENTS

from .customers import Customers
from .shop import Shop

SAP_FAULTS = (
    {"fault": "503", "probability": 0.10},
    {"fault": "lock", "probability": 0.05},
    {"fault": "commit-then-drop", "probability": 0.02},
    {"fault": "429", "retry_after": 1, "probability": 0.03},
)
SESSIONS_END_EVERY_S = 30.0
POISON_EVERY_S = 10.0
PAPER_JAM_EVERY_S = 60.0
PAPER_JAM_S = 8.0


@contextmanager
def running(shop: Shop, customers: Customers, rate: float) -> Iterator[None]:
    """Everything at once, for as long as the block runs. Afterwards all targets work."""
    stop = threading.Event()
    with ExitStack() as stack:
        threads = [threading.Thread(target=_repeat, args=(stop, POISON_EVERY_S, lambda: _poison(shop)), daemon=True)]
        if shop.paper is not None:
            jam = (stop, PAPER_JAM_EVERY_S, lambda: _jam(shop, stop))
            threads.append(threading.Thread(target=_repeat, args=jam, daemon=True))
        for fault in SAP_FAULTS:
            shop.sap.add_fault(dict(fault))
        shop.sap.expire_sessions(SESSIONS_END_EVERY_S)
        stack.callback(shop.sap.clear_faults)
        for thread in threads:
            thread.start()
        try:
            with customers.placing(rate):
                yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)


def _repeat(stop: threading.Event, every_s: float, what: Callable[[], None]) -> None:
    while not stop.wait(every_s):
        what()


def _poison(shop: Shop) -> None:
    """Parked by every department at once."""
    for department in ("orders", *shop.parts.departments):
        shop.broker.publish_body(b"{not JSON", department, exchange=DEPARTMENTS)


def _jam(shop: Shop, stop: threading.Event) -> None:
    assert shop.paper is not None
    shop.paper.hold()
    stop.wait(PAPER_JAM_S)
    shop.paper.go_on()
