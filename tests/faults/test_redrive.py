"""Operators redrive dead letters: two at once, amid new ones, killed in the middle, with the department away."""

import base64
import json
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from eventbus.contract import BusHeaders
from eventbus.testing.waiting import wait_until
from eventbus.topology import DEPARTMENTS, dead_queue

from .conftest import Run
from .operator_tools import Operator, ended, numbers
from .parts import Parts

SCENARIO = 12
NAME = "sap_bridge"
DEAD = dead_queue(NAME)
REDRIVE = ("dead", "redrive", NAME)
PARTS = Parts(
    gateways=1,
    departments=(NAME,),
    settings={NAME: {"breaker_permanent": 10_000}},  # that all are refused is what parks them here, and no alarm
)


@pytest.fixture(autouse=True)
def nothing_parked(run: Run) -> None:
    """What a run that failed has left parked is not this one's."""
    with run.shop.broker.channel() as channel:
        channel.queue_purge(DEAD)


@contextmanager
def sap_refuses(run: Run) -> Iterator[None]:
    """Every order is refused, as one that a person has to look at."""
    run.shop.sap.add_fault({"fault": "status", "status": 422})
    try:
        yield
    finally:
        run.shop.sap.clear_faults()


def park(run: Run, orders: int) -> set[str]:
    """Place orders that SAP refuses; their numbers when they are all parked."""
    known, waiting = set(run.customers.numbers), run.shop.broker.depth(DEAD)
    run.customers.place(orders)
    wait_until(lambda: run.shop.broker.depth(DEAD) >= waiting + orders, 60, "all are parked")
    return set(run.customers.numbers) - known


class Redriven:
    """Counts what `bus` sends to the department, beside it."""

    def __init__(self, run: Run) -> None:
        self._broker = run.shop.broker
        self.queue = self._broker.tap(NAME, exchange=DEPARTMENTS)
        self.orders: Counter[str] = Counter()

    def look(self) -> "Redriven":
        for message in self._broker.take_all(self.queue):
            headers = BusHeaders.read(message.headers)
            if not headers.attempt and headers.not_before is None:  # else it comes from the retry tiers
                self.orders[json.loads(message.body)["subject"]] += 1
        return self

    def close(self) -> None:
        with self._broker.channel() as channel:
            channel.queue_delete(self.queue)


@contextmanager
def redriven_counted(run: Run) -> Iterator[Redriven]:
    counted = Redriven(run)
    try:
        yield counted
    finally:
        counted.close()


def read_lines(command: "subprocess.Popen[str]", count: int) -> str:
    """Its first lines, as soon as it has printed them."""
    assert command.stdout is not None
    return "".join(command.stdout.readline() for _ in range(count))


@contextmanager
def ended_at_last(command: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    try:
        yield command
    finally:
        with suppress(ProcessLookupError):
            command.kill()
        command.communicate()


def test_two_operators_redrive_at_once(run: Run) -> None:
    """Two operators redrive the same dead letters at once"""
    operator = Operator(run.shop)
    with sap_refuses(run):
        parked = park(run, run.rng.randint(20, 50))
    first_lines = run.rng.randint(0, 10)
    with redriven_counted(run) as counted:
        first = operator.start(*REDRIVE)
        head = read_lines(first, first_lines)
        second = operator.start(*REDRIVE)
        results = [ended(first), ended(second)]
        assert results[0][0] == 0, results
        assert results[1][0] in (0, 1), results  # 1: the other one has the lock for longer than one waits
        assert sorted(numbers(head + "".join(output for _, output in results))) == sorted(parked)
        assert counted.look().orders == Counter(parked)
    run.assert_kept()


def test_event_parked_amid_a_redrive(run: Run) -> None:
    """Events parked amid a redrive are not swept along, also not those that are parked again"""
    operator = Operator(run.shop)
    with sap_refuses(run), redriven_counted(run) as counted:
        parked = park(run, run.rng.randint(15, 40))
        sent = run.rng.randint(1, len(parked) // 2)
        with ended_at_last(operator.start(*REDRIVE)) as command:
            head = read_lines(command, sent)
            command.send_signal(signal.SIGSTOP)
            late = park(run, run.rng.randint(3, 10))
            # what the frozen command holds is not ready: only what came meanwhile is
            wait_until(lambda: run.shop.broker.depth(DEAD) >= sent + len(late), 60, "the redriven are parked again")
            command.send_signal(signal.SIGCONT)
            code, output = ended(command)
        assert code == 0, output
        assert sorted(numbers(head + output)) == sorted(parked)
        assert counted.look().orders == Counter(parked)
        both = len(parked) + len(late)
        wait_until(lambda: run.shop.broker.depth(DEAD) == both, 60, "all are parked, each once")
    assert len(run.count().attention) == both
    assert sorted(numbers(operator.run(*REDRIVE))) == sorted(parked | late)
    run.assert_kept()


def test_redrive_killed_in_the_middle(run: Run) -> None:
    """A redrive killed in the middle (`kill -9`), and the department, too"""
    operator = Operator(run.shop)
    with sap_refuses(run):
        parked = park(run, run.rng.randint(40, 80))
    with redriven_counted(run) as counted:
        command = operator.start(*REDRIVE)
        said = numbers(read_lines(command, run.rng.randint(1, 20)))
        command.kill()
        said += numbers(ended(command)[1])
        if run.rng.random() < 0.5:
            run.shop.one(NAME).kill()
        assert len(said) < len(parked), "it was not killed in the middle"

        def all_redriven() -> bool:
            nonlocal said
            said += numbers(operator.run(*REDRIVE))
            return set(counted.look().orders) == parked

        wait_until(all_redriven, 60, "the rest is redriven")
        twice = [order for order, times in counted.orders.items() if times > 1]
        assert len(twice) <= 1, "the one that was sent and not yet removed"
        assert set(counted.orders.values()) <= {1, 2}
    run.assert_kept()


def test_redrive_with_the_department_away(run: Run) -> None:
    """A redrive while the department is down, or dies"""
    operator, bridge = Operator(run.shop), run.shop.one(NAME)
    is_down = run.rng.random() < 0.5
    with sap_refuses(run):
        parked = park(run, run.rng.randint(20, 50))
        if is_down:
            bridge.stop()
    try:
        with ended_at_last(operator.start(*REDRIVE)) as command:
            head = read_lines(command, run.rng.randint(1, 10))
            if not is_down:
                bridge.kill()
            code, output = ended(command)
        assert code == 0, output
        assert sorted(numbers(head + output)) == sorted(parked)
        if is_down:
            wait_until(lambda: run.shop.broker.depth(NAME) == len(parked), 30, "they wait for the department")
            assert "nothing to redrive" in operator.run(*REDRIVE)
    finally:
        if is_down:
            bridge.start().wait_ready()
    run.assert_kept()


def test_letters_looked_at_dropped_and_redriven_at_once(run: Run, tmp_path: Path) -> None:
    """Dead letters listed, shown, dropped and redriven at once: each is sent or in a file, and never both"""
    operator = Operator(run.shop)
    with sap_refuses(run):
        parked = park(run, run.rng.randint(10, 30))
    to_drop = run.rng.sample(sorted(parked), 3)
    wanted = [
        REDRIVE,
        *(("dead", look, NAME) for look in ("list", "show")),
        *(("dead", "drop", NAME, "--yes", "--order", n, "--file", str(tmp_path / n)) for n in to_drop),
    ]
    run.rng.shuffle(wanted)
    commands = [operator.start(*arguments) for arguments in wanted]
    outputs = [ended(command) for command in commands]
    assert {code for code, _ in outputs} <= {0, 1}, outputs
    redriven = [n for arguments, (_, said) in zip(wanted, outputs, strict=True) if arguments == REDRIVE
                for n in numbers(said)]  # fmt: skip
    redriven += numbers(operator.run(*REDRIVE))  # what another one's lock kept it from
    dropped = [order_in(line) for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert sorted(redriven + dropped) == sorted(parked)
    found = run.assert_kept(shows=True)
    assert sorted(line.partition(":")[0] for line in found.attention) == sorted(dropped)
    assert not set(dropped) & set(run.shop.sap.stats()["references"])


def order_in(line: str) -> str:
    """The order of a dropped message, as the file keeps it."""
    return str(json.loads(base64.b64decode(json.loads(line)["body_base64"]))["subject"])
