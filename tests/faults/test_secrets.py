"""What must not be guessed, and what must not be told: order numbers, passwords."""

import itertools
import math
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from eventbus.contract import routing_key_of
from eventbus.settings import config_path
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event
from eventbus.testing.ports import free_port
from eventbus.testing.waiting import wait_until
from eventbus.topology import DEAD, TIER_NAMES
from orders.model import CROCKFORD, new_number

from .program import Program
from .refusing_target import RefusingTarget

NUMBERS = 20_000
SIGMAS = 7.0
"""By chance once in 10¹¹ runs."""


def chi_square_is_plausible(observed: Counter[Any], cells: int) -> bool:
    """Whether a fair source may have given these counts (Wilson and Hilferty's normal approximation)."""
    expected = sum(observed.values()) / cells
    statistic = sum((count - expected) ** 2 / expected for count in observed.values())
    statistic += (cells - len(observed)) * expected
    freedom = cells - 1
    deviations = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
    return bool(abs(deviations) < SIGMAS)


def test_order_numbers_are_random_in_every_place(seed: int) -> None:
    """Each character is as likely as any other in each place, in each pair, and after each in the number before"""
    numbers = [new_number() for _ in range(NUMBERS)]
    assert len(set(numbers)) == NUMBERS
    for place in range(12):
        assert chi_square_is_plausible(Counter(number[place] for number in numbers), 32), place
        following = Counter((one[place], other[place]) for one, other in itertools.pairwise(numbers))
        assert chi_square_is_plausible(following, 32 * 32), place
        for other_place in range(place):
            pairs = Counter((number[place], number[other_place]) for number in numbers)
            assert chi_square_is_plausible(pairs, 32 * 32), (other_place, place)
    bits = Counter(bit for number in numbers for bit in range(60) if as_bits(number) >> bit & 1)
    for bit in range(60):
        assert abs(bits[bit] - NUMBERS / 2) < SIGMAS * math.sqrt(NUMBERS) / 2, bit


def as_bits(number: str) -> int:
    value = 0
    for character in number:
        value = value * 32 + CROCKFORD.index(character)
    return value


def test_processes_share_no_numbers(seed: int) -> None:
    """Two processes, started at the same moment, give different numbers"""
    program = "from orders.model import new_number; print([new_number() for _ in range(1000)])"
    started = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(2)]
    first, other = (set(process.communicate(timeout=60)[0].split()) for process in started)
    assert not first & other


# --- passwords

SECRET = f"s3cr3t{secrets.token_hex(8)}"


@pytest.fixture
def start(broker: Broker, tmp_path: Path) -> Any:
    """Starts a process of a service with other settings than the shipped ones; it is ended with the test."""
    broker.declare_shared()
    programs: list[Program] = []

    def start(package: str, arguments: tuple[str, ...], port: tuple[str, ...], **changes: Any) -> Program:
        document = yaml.safe_load(config_path(package, {}).read_text())
        document |= {"database_url": f"sqlite:///{tmp_path}/{package}.db", "amqp_url": broker.amqp_url}
        for name, value in changes.items():
            section, _, key = name.rpartition("__")
            (document[section] if section else document)[key] = value
        program = Program("-".join(arguments[1:]), arguments, tmp_path, document, port)
        programs.append(program)
        return program.start()

    yield start
    for program in programs:
        program.end()


HEALTH = ("health_port",)
PROCESSES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "gateway": ("orders", ("-m", "orders", "gateway"), ("gateway", "port")),
    "relay": ("orders", ("-m", "orders", "relay"), ("relay", "health_port")),
    "tracker": ("orders", ("-m", "orders", "tracker"), ("tracker", "health_port")),
    "marketing": ("marketing", ("-m", "marketing"), HEALTH),
    "sap_bridge": ("sap_bridge", ("-m", "sap_bridge"), HEALTH),
    "printer": ("printer", ("-m", "printer"), HEALTH),
}


def tells_no_secret(program: Program) -> None:
    """Wait until it has complained or ended, and search what it said."""
    wait_until(lambda: program.output() or not program.is_running, 60, f"{program.name} says something")

    def said_more() -> bool:
        return not program.is_running or any(word in program.output() for word in ("warning", "error", "expected"))

    wait_until(said_more, 90, f"{program.name} complains")
    shown = program.output() + "".join(program.get(path)[1] for path in ("/readyz", "/metrics", "/healthz"))
    assert SECRET not in shown
    assert "Traceback" not in shown, shown


@pytest.mark.runs_shared_by(10)
@pytest.mark.parametrize("process", [name for name in PROCESSES if name != "gateway"])
@pytest.mark.parametrize("host", ["ours", "nobody's"])
def test_password_that_the_broker_refuses_is_not_told(
    start: Any, broker: Broker, seed: int, process: str, host: str
) -> None:
    """A wrong password of the broker, or a broker that is away, shows in no log and no answer"""
    port = urlsplit(broker.amqp_url).port if host == "ours" else free_port()
    path = urlsplit(broker.amqp_url).path
    tells_no_secret(start(*PROCESSES[process], amqp_url=f"amqp://nobody:{SECRET}@127.0.0.1:{port}{path}"))


@pytest.mark.runs_shared_by(12)
@pytest.mark.parametrize("process", list(PROCESSES))
@pytest.mark.parametrize("server", ["postgresql", "nobody's"])
def test_password_that_the_database_refuses_is_not_told(
    start: Any, postgresql: str, seed: int, process: str, server: str
) -> None:
    """A wrong password of the database, or a database that is away, shows in no log and no answer"""
    parts = urlsplit(postgresql)
    port = parts.port if server == "postgresql" else free_port()
    url = f"postgresql://{parts.username}:{SECRET}@127.0.0.1:{port}{parts.path}"
    tells_no_secret(start(*PROCESSES[process], database_url=url))


@pytest.mark.runs_shared_by(7)
@pytest.mark.parametrize(
    ("process", "changes"),
    [
        ("sap_bridge", {"sap__password": f"{SECRET}\r\n", "sap__url": "http://user@127.0.0.1:9"}),
        ("sap_bridge", {"sap__password": {"a": SECRET}}),
        ("printer", {"printer_uri": f"ipp://user:{SECRET}@127.0.0.1:9/ipp/print"}),
        ("relay", {"amqp_url": f"amqp://u:{SECRET}@h:no-port/"}),
        ("marketing", {"database_url": f"postgresql://u:{SECRET}@h:no-port/d"}),
        ("marketing", {"database_url": f"mysql://u:{SECRET}@h/d"}),
        ("gateway", {"database_url": f"oracle://u:{SECRET}@h/d"}),
    ],
)
def test_secret_in_a_wrong_setting_is_not_told(start: Any, seed: int, process: str, changes: dict[str, Any]) -> None:
    """A setting that is wrong and holds a password is named, not shown"""
    tells_no_secret(start(*PROCESSES[process], **changes))


@pytest.mark.runs_shared_by(4)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("process", ["sap_bridge", "printer"])
def test_password_that_the_target_refuses_is_not_told(
    start: Any, broker: Broker, seed: int, process: str, status: int
) -> None:
    """A login that SAP or the printer refuses shows in no log, no answer, no retry and no dead letter"""
    target = RefusingTarget(status)
    changes = {
        "sap_bridge": {"sap__url": f"http://127.0.0.1:{target.port}/sap", "sap__password": SECRET},
        "printer": {
            "printer_uri": f"ipp://127.0.0.1:{target.port}/ipp/print",
            "printer_user": "order-bus",
            "printer_password": SECRET,
        },
    }[process]
    try:
        program = start(*PROCESSES[process], **changes)
        wait_until(lambda: program.get("/readyz")[0] == 200, 90, f"{process} is ready")
        left = [broker.tap("#", exchange) for exchange in (DEAD, *TIER_NAMES)]
        event = an_event()
        broker.publish(event, routing_key_of(event))
        wait_until(lambda: SECRET in target.passwords, 90, f"{process} logs in")
        messages = wait_until(lambda: [m for queue in left for m in broker.take_all(queue)], 90, "the event comes back")
        tells_no_secret(program)
        for message in messages:
            assert SECRET not in f"{message.body!r} {message.properties}"
    finally:
        target.close()
