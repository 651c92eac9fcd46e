"""Many requests with one Idempotency-Key, over two gateways."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from eventbus import database

from .conftest import Run
from .crash import CrashPoint
from .parts import Parts

SCENARIO = 11
PARTS = Parts(gateways=2, departments=("marketing",))
REQUESTS = 100
KEYS = 60
ROUNDS = 4
TRIES = 20


def test_hundred_requests_with_one_key_at_once(run: Run) -> None:
    """A hundred concurrent requests with one key, over two gateways: one order, one number"""
    key = f"{run.customers.token}-same"
    answers = _at_once(run, [(key, run.customers.product)] * REQUESTS)
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert [answer.status_code for answer in answers].count(201) <= 1  # none: its answer was a 503, outcome unknown
    assert len({answer.json()["order_number"] for answer in answers}) == 1
    run.customers.accepted[key] = answers[0].json()["order_number"]
    run.assert_kept()


def test_same_key_with_two_bodies_at_once(run: Run) -> None:
    """One key with two different bodies, concurrently: one order, 422 for the other body"""
    key = f"{run.customers.token}-two"
    other = run.customers.product + 1
    wanted = [(key, run.customers.product), (key, other)] * (REQUESTS // 2)
    answers = _at_once(run, wanted)
    told: dict[int, Counter[int]] = {run.customers.product: Counter(), other: Counter()}
    for (_, product), answer in zip(wanted, answers, strict=True):
        told[product][answer.status_code] += 1
    winner, loser = sorted(told, key=lambda product: told[product][422])
    assert set(told[winner]) <= {200, 201}
    assert told[winner][201] <= 1
    assert set(told[loser]) == {422}
    assert _post(run, 0, key, loser).status_code == 422
    run.customers.product = winner
    run.customers.accepted[key] = _post(run, 1, key, winner).json()["order_number"]
    run.assert_kept()


CRASHES = {
    "before the commit": CrashPoint("orders.store.postgresql:PostgresqlRunner.run", "before"),
    "after the commit": CrashPoint("orders.store.postgresql:PostgresqlRunner.run", "after"),
    "before the answer": CrashPoint("orders.gateway.committer:GroupCommitter._settle", "before"),
}


@pytest.mark.runs_shared_by(len(CRASHES))
@pytest.mark.parametrize("point", CRASHES)
def test_key_repeated_after_a_crash(run: Run, point: str) -> None:
    """A key repeated, at the other gateway, after a crash around the commit"""
    crashed = run.rng.choice(run.shop.all("gateway"))
    survivor = next(gateway for gateway in run.shop.all("gateway") if gateway is not crashed)
    died = len(crashed.exit_codes) + 2
    crashed.restart(crash=CRASHES[point]).wait_ready()
    key = f"{run.customers.token}-crash"
    with pytest.raises(requests.ConnectionError):
        _order(crashed.url, key, run.customers.product)

    answer = _order(survivor.url, key, run.customers.product)

    assert answer.status_code == (201 if point == "before the commit" else 200)
    run.customers.accepted[key] = answer.json()["order_number"]
    crashed.wait_ready()
    assert len(crashed.exit_codes) == died
    again = _order(crashed.url, key, run.customers.product)
    assert (again.status_code, again.json()["order_number"]) == (200, run.customers.accepted[key])
    run.assert_kept()


def test_keys_in_opposite_order_at_two_gateways(run: Run) -> None:
    """Two gateways get the same keys in opposite order: no deadlock reaches a client"""
    for turn in range(ROUNDS):
        keys = [f"{run.customers.token}-{turn}-{index}" for index in range(KEYS)]
        run.rng.shuffle(keys)
        wanted = [pair for both in zip(keys, reversed(keys), strict=True) for pair in both]
        answers = _at_once(run, [(key, run.customers.product) for key in wanted])
        assert {answer.status_code for answer in answers} <= {200, 201}
        for key, answer in zip(wanted, answers, strict=True):
            number = answer.json()["order_number"]
            assert run.customers.accepted.setdefault(key, number) == number
    assert _deadlocks(run) == 0
    run.assert_kept()


def _at_once(run: Run, orders: list[tuple[str, int]]) -> list[requests.Response]:
    """The answers to these orders (key, product), sent at once, in turn to one gateway and to the other."""
    start = threading.Barrier(len(orders))

    def send(index: int) -> requests.Response:
        start.wait(60)
        return _post(run, index, *orders[index])

    with ThreadPoolExecutor(len(orders)) as pool:
        return list(pool.map(send, range(len(orders))))


def _post(run: Run, index: int, key: str, product: int) -> requests.Response:
    gateways = run.shop.ready_gateways()
    return _order(gateways[index % len(gateways)], key, product)


def _order(url: str, key: str, product: int) -> requests.Response:
    """The answer to that order, repeated for as long as it is 503."""
    body: dict[str, Any] = {"customer_name": "Run", "product_ids": [product, 2], "region": "north"}
    for _ in range(TRIES):
        answer = requests.post(f"{url}/orders", json=body, headers={"Idempotency-Key": key}, timeout=30)
        if answer.status_code != 503:
            return answer
    return answer


def _deadlocks(run: Run) -> int:
    engine = database.create_engine(run.shop.database_url("orders"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        statement = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.scalar(sa.text(statement)) or 0)
