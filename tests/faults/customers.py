"""Customers: they place orders with an idempotency key, and repeat until they have an answer that settles it."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests
from eventbus.testing.waiting import wait_until

CUSTOMERS = 8
PATIENCE_S = 120.0
REQUEST_TIMEOUT_S = 15.0
PAUSE_MAX_S = 0.4


class Customers:
    """Places the orders of one run. Each has a key, and a product that only this run orders.

    `accepted` maps keys to the order numbers that customers were told; `answers` counts every answer and failure of
    each attempt, by status or by the exception's name.
    """

    def __init__(self, gateways: Callable[[], Sequence[str]], token: str, product: int, region: str = "north") -> None:
        self.token = token
        self.product = product
        self.region = region
        self.accepted: dict[str, str] = {}
        self.answers: Counter[str] = Counter()
        self.contradictions: list[str] = []
        self._gateways = gateways
        self._index = itertools.count()
        self._lock = threading.Lock()

    @property
    def numbers(self) -> list[str]:
        return list(self.accepted.values())

    def send_to(self, gateways: Callable[[], Sequence[str]]) -> None:
        """From now on they go to one of the URLs that this returns at each attempt."""
        self._gateways = gateways

    def place(self, count: int) -> None:
        """Place that many orders, several at a time; returns when each is accepted.

        Raises:
            AssertionError: one was not accepted within two minutes, or refused as wrong.
        """
        with ThreadPoolExecutor(CUSTOMERS) as pool:
            list(pool.map(lambda _: self.place_one(), range(count)))

    @contextmanager
    def placing(self, rate: float) -> Iterator[None]:
        """Places so many orders a second for as long as the block runs."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def keep_placing() -> None:
            try:
                while not stop.wait(CUSTOMERS / rate):
                    self.place_one()
            except AssertionError as error:
                failures.append(error)

        threads = [threading.Thread(target=keep_placing, daemon=True) for _ in range(CUSTOMERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_S + REQUEST_TIMEOUT_S)
        assert not failures, failures[0]

    def wait_placed(self, count: int) -> None:
        """Wait until those who are placing have placed so many more."""
        before = len(self.accepted)
        wait_until(lambda: len(self.accepted) >= before + count, PATIENCE_S, f"{count} orders more")

    def place_one(self, key: str | None = None) -> str:
        """Place one order, with its key again and again until it is accepted; its number."""
        with self._lock:
            key = key or f"{self.token}-{next(self._index)}"
        body = {
            "customer_name": f"Run {key}",
            "product_ids": [self.product, 2],
            "region": self.region,
        }
        deadline = time.monotonic() + PATIENCE_S
        turn = random.Random(key)
        while True:
            outcome, number = self._attempt(turn, key, body)
            with self._lock:
                self.answers[outcome] += 1
                if number is not None:
                    if self.accepted.setdefault(key, number) != number:
                        self.contradictions.append(f"{key}: {self.accepted[key]}, then {number}")
                    return number
            assert time.monotonic() < deadline, f"{key} was not accepted within {PATIENCE_S:g} s, last: {outcome}"
            time.sleep(turn.uniform(0.02, PAUSE_MAX_S))  # as a client with back-off and jitter does

    def _attempt(self, turn: random.Random, key: str, body: Mapping[str, object]) -> tuple[str, str | None]:
        urls = self._gateways()
        if not urls:
            return "no gateway is ready", None
        try:
            answer = requests.post(
                f"{turn.choice(urls)}/orders",
                json=body,
                headers={"Idempotency-Key": key, "Connection": "close"},
                timeout=REQUEST_TIMEOUT_S,
            )
        except requests.RequestException as error:
            return type(error).__name__, None
        if answer.status_code in (200, 201):
            return str(answer.status_code), str(answer.json()["order_number"])
        assert answer.status_code >= 500, f"{key}: {answer.status_code} {answer.text}"
        return str(answer.status_code), None
