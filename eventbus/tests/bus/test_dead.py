"""`bus dead` and `bus unclaimed`: looking changes nothing, redrive goes to one department, drop keeps a copy."""

import base64
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest
from eventbus.contract import BusHeaders, Event, OrderCreated
from eventbus.operator import redrive as redriving
from eventbus.operator.connection import connected
from eventbus.operator.parked import Filter, held
from eventbus.testing import an_event, an_order
from eventbus.testing.broker import Broker, Message
from eventbus.topology import UNCLAIMED, department

Bus = Callable[..., tuple[int, str, str]]
PARKED_AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.fixture
def printer(broker: Broker) -> Broker:
    """A broker with the departments printer and marketing."""
    broker.declare_shared()
    for name in ("printer", "marketing"):
        broker.declare(department(name, ("order.created.*",)))
    return broker


def park(broker: Broker, event: Event[OrderCreated] | None = None, **bus: Any) -> Event[OrderCreated]:
    event = event or an_event()
    defaults: dict[str, Any] = {"attempt": 3, "reason": "no such product", "reason_class": "permanent"}
    headers = BusHeaders(**defaults | bus)
    written = {**headers.write(), "bus-routing-key": "order.created.north", "bus-parked-at": "2026-11-24T08:00:00Z"}
    broker.publish_body(
        event.encode(), "printer", exchange="dead", message_id=event.id, headers={**written, "theirs": "kept"}
    )
    return event


def own(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.headers.items() if not name.startswith("x-")}


def test_list_shows_each_message_in_order_and_takes_none_away(printer: Broker, bus: Bus) -> None:
    events = [park(printer, an_event(an_order(order_number=f"TEST-{n}"))) for n in range(3)]
    for _ in range(3):
        code, out, _err = bus("dead", "list", "printer")
        assert code == 0
        lines = out.splitlines()
        assert [line.split()[4] for line in lines[1:4]] == ["TEST-0", "TEST-1", "TEST-2"]
        assert lines[1].split() == [
            *("printer", "2026-11-24T08:00:00Z", "permanent", "3", "TEST-0", "order.created.north"),
            *("no", "such", "product"),
        ]
        assert lines[-1] == "3 messages parked"
    assert [m.properties.message_id for m in printer.peek("printer.dead")] == [e.id for e in events]


def test_list_names_no_customer(printer: Broker, bus: Bus) -> None:
    park(printer, an_event(customer_name="Aurelia Quist"))
    assert "Quist" not in bus("dead", "list")[1]


def test_show_has_the_whole_message_and_leaves_it(printer: Broker, bus: Bus) -> None:
    event = park(printer, an_event(customer_name="Aurelia Quist"))
    code, out, _err = bus("dead", "show", "printer", "--id", event.id)
    assert code == 0
    assert "Aurelia Quist" in out
    assert "header theirs    kept" in out
    assert printer.depth("printer.dead") == 1


def test_show_of_what_is_no_text_at_all_reaches_the_terminal_escaped(printer: Broker, bus: Bus) -> None:
    printer.publish_body(b"\xff\x1b[2J", "printer", exchange="dead", headers={"theirs": "\x1b[2J"})
    hidden = '{"customer_name": "A\x9b31m\u2028B\u202eC\x85D"}'
    printer.publish_body(hidden.encode(), "printer", exchange="dead")
    out = bus("dead", "show", "printer")[1]
    assert all(line.isprintable() for line in out.split("\n"))
    assert "A�31m�B�C�D" in out


def test_nothing_parked_says_so(printer: Broker, bus: Bus) -> None:
    assert bus("dead", "list") == (0, "nothing is parked\n", "")
    assert bus("dead", "redrive", "printer") == (0, "nothing to redrive in printer.dead\n", "")
    assert bus("dead", "drop", "printer") == (0, "nothing to drop in printer.dead\n", "")
    assert bus("unclaimed", "list") == (0, "nothing is unclaimed\n", "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"A-1", "B-2", "C-3"}),
        (("--order", "b2"), {"B-2"}),
        (("--reason", "PAPER"), {"C-3"}),
        (("--class", "exhausted"), {"B-2"}),
        (("--class", "permanent", "--order", "A-1"), {"A-1"}),
        (("--class", "permanent", "--order", "B-2"), set()),
    ],
)
def test_filter_chooses(printer: Broker, bus: Bus, options: tuple[str, ...], expected: set[str]) -> None:
    park(printer, an_event(order_number="A-1"))
    park(printer, an_event(order_number="B-2"), reason_class="exhausted", reason="target away")
    park(printer, an_event(order_number="C-3"), reason="out of paper")
    _code, out, _err = bus("dead", "list", "printer", *options)
    assert {line.split()[4] for line in out.splitlines()[1:-1]} == expected


def test_redrive_sends_to_that_department_alone_with_a_fresh_start(printer: Broker, bus: Bus) -> None:
    event = park(printer, first_failed_at=PARKED_AT)
    code, out, _err = bus("dead", "redrive", "printer")
    assert code == 0
    assert out.splitlines()[-1] == "1 redriven"
    message = printer.wait_message("printer")
    assert (message.body, message.properties.message_id) == (event.encode(), event.id)
    assert message.properties.delivery_mode == 2
    assert own(message) == {"theirs": "kept", "bus-routing-key": "order.created.north"}
    assert printer.depth("printer.dead") == 0
    assert printer.depth("marketing") == 0


def test_redrive_of_some_leaves_the_others_in_order(printer: Broker, bus: Bus) -> None:
    for number in ("A-1", "B-2", "C-3", "D-4"):
        park(printer, an_event(order_number=number))
    assert bus("dead", "redrive", "printer", "--order", "B-2")[0] == 0
    out = bus("dead", "list")[1]
    assert [line.split()[4] for line in out.splitlines()[1:-1]] == ["A-1", "C-3", "D-4"]


def test_redrive_dry_run_changes_nothing(printer: Broker, bus: Bus) -> None:
    park(printer)
    code, out, _err = bus("dead", "redrive", "printer", "--dry-run")
    assert code == 0
    assert out.splitlines()[-1] == "dry run, nothing was changed: 1 would redrive"
    assert (printer.depth("printer"), printer.depth("printer.dead")) == (0, 1)


def test_redrive_does_not_sweep_along_what_arrives_meanwhile(printer: Broker) -> None:
    for _ in range(3):
        park(printer)
    with connected(printer.amqp_url) as link:
        done = redriving.redrive(link, printer.management, "printer.dead", Filter())
        next(done)
        late = park(printer)  # as a department does that fails again at once
        assert len(list(done)) == 2
    assert [m.properties.message_id for m in printer.peek("printer.dead")] == [late.id]


def test_redrive_killed_half_way_loses_nothing(printer: Broker) -> None:
    ids = {str(n) for n in range(1000)}
    with connected(printer.amqp_url) as link:
        channel = link.channel()
        for name in ids:
            channel.basic_publish("dead", "printer", b"{}", pika.BasicProperties(message_id=name, delivery_mode=2))
    printer.wait_for(lambda: printer.depth("printer.dead") == len(ids))
    environ = {**os.environ, "AMQP_URL": printer.amqp_url, "MANAGEMENT_URL": printer.management_url}
    command = [sys.executable, "-c", "from eventbus.operator.cli import main; main()", "dead", "redrive", "printer"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    printer.wait_for(lambda: printer.depth("printer") > 50)
    process.kill()
    process.wait(10)
    printer.wait_for(lambda: printer.depth("printer") + printer.depth("printer.dead") >= len(ids))
    assert printer.depth("printer.dead") > 0
    left = {m.properties.message_id for queue in ("printer", "printer.dead") for m in printer.peek(queue)}
    assert left == ids


def test_redrive_to_a_department_that_has_gone_leaves_the_message(printer: Broker, bus: Bus) -> None:
    park(printer)
    with printer.channel() as channel:
        channel.queue_unbind("printer", "departments", "printer")
    code, out, _err = bus("dead", "redrive", "printer")
    assert code == 1
    assert "no department printer is bound to departments" in out
    assert (printer.depth("printer.dead"), printer.depth(UNCLAIMED)) == (1, 0)


def test_redrive_of_a_delivery_limit_victim_finds_its_routing_key(printer: Broker, bus: Bus) -> None:
    printer.publish(an_event(region="north"), "order.created.north")
    with printer.channel() as channel:
        while not printer.depth("printer.dead"):
            method, _properties, _body = channel.basic_get("printer")
            if method is not None:
                channel.basic_nack(method.delivery_tag, requeue=True)
    assert "crashed" in bus("dead", "list")[1]
    assert bus("dead", "redrive", "printer")[0] == 0
    message = printer.wait_message("printer")
    assert own(message) == {"bus-routing-key": "order.created.north"}


def test_redriven_message_does_not_expire_and_names_no_user(printer: Broker, bus: Bus) -> None:
    user = pika.URLParameters(printer.amqp_url).credentials.username
    printer.publish_body(b"{}", "printer", exchange="dead", user_id=user, expiration="600000")
    bus("dead", "redrive", "printer")
    properties = printer.wait_message("printer").properties
    assert (properties.user_id, properties.expiration) == (None, None)


def test_second_command_on_the_same_queue_is_refused_while_the_first_works(
    printer: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventbus.operator.parked.LOCK_WAIT_S", 0.1)
    park(printer)
    with connected(printer.amqp_url) as link, held(link, printer.management, "printer.dead"):
        code, _out, err = bus("dead", "redrive", "printer")
        assert (code, err) == (1, "bus: another bus command works on printer.dead: try again when it is done\n")
        assert bus("dead", "list", "marketing")[0] == 0
    assert bus("dead", "redrive", "printer")[0] == 0


def test_more_than_one_command_takes_is_said_and_left(
    printer: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventbus.operator.parked.SNAPSHOT_MAX", 2)
    for number in ("A-1", "B-2", "C-3"):
        park(printer, an_event(order_number=number))
    assert "1 more message behind these: not looked at" in bus("dead", "list", "printer")[1]
    code, out, _err = bus("dead", "redrive", "printer")
    assert (code, out.splitlines()[-2:]) == (
        1,
        ["2 redriven", "1 more message left in printer.dead: one command takes 2"],
    )
    assert printer.depth("printer.dead") == 1
    assert bus("dead", "redrive", "printer")[0] == 0


def test_looking_is_refused_where_it_could_delete(broker: Broker, bus: Bus) -> None:
    broker.declare_shared()
    with broker.channel() as channel:
        channel.queue_declare(
            "stranger.dead", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 5}
        )
    code, _out, err = bus("dead", "list", "stranger")
    assert (code, err) == (
        1,
        "bus: queue stranger.dead: x-delivery-limit: have 5, want 1000000: looking could delete\n",
    )


def test_unknown_department_is_one_line(printer: Broker, bus: Bus) -> None:
    assert bus("dead", "list", "nobody") == (1, "", "bus: there is no queue nobody.dead\n")


def test_drop_writes_the_message_to_a_private_file_and_removes_it(printer: Broker, bus: Bus, tmp_path: Path) -> None:
    event = park(printer)
    path = tmp_path / "dropped.jsonl"
    code, out, _err = bus("dead", "drop", "printer", "--yes", "--file", str(path))
    assert code == 0
    assert out.splitlines()[-1].startswith("1 message dropped")
    (line,) = path.read_text().splitlines()
    written = json.loads(line)
    assert base64.b64decode(written["body_base64"]) == event.encode()
    assert written["headers"]["bus-reason"] == "no such product"
    assert written["properties"]["message_id"] == event.id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert printer.depth("printer.dead") == 0


@pytest.mark.parametrize("answer", ["n\n", "", "\n"])
def test_drop_without_a_yes_drops_nothing(
    printer: Broker, bus: Bus, answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    park(printer)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, out, _err = bus("dead", "drop", "printer", "--file", str(tmp_path / "dropped"))
    assert code == 1
    assert out.endswith("nothing was dropped\n")
    assert (printer.depth("printer.dead"), list(tmp_path.iterdir())) == (1, [])


def test_drop_asked_and_agreed_drops(
    printer: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    park(printer)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert bus("dead", "drop", "printer", "--file", str(tmp_path / "dropped"))[0] == 0
    assert printer.depth("printer.dead") == 0


def test_drop_that_cannot_write_its_file_drops_nothing(printer: Broker, bus: Bus, tmp_path: Path) -> None:
    park(printer)
    there = tmp_path / "there"
    there.write_text("precious")
    code, _out, err = bus("dead", "drop", "printer", "--yes", "--file", str(there))
    assert code == 1
    assert "cannot be written, nothing was dropped" in err
    assert (printer.depth("printer.dead"), there.read_text()) == (1, "precious")


def test_unclaimed_goes_to_its_department_once_that_is_there(broker: Broker, bus: Bus) -> None:
    broker.declare_shared()
    event = an_event()
    for name in ("printer", "loyalty"):
        broker.publish_body(event.encode(), name, exchange="departments", message_id=event.id)
    code, out, _err = bus("unclaimed", "redrive")
    assert code == 1
    assert "no department printer" in out
    broker.declare(department("printer", ("order.created.*",)))
    assert "loyalty" not in bus("unclaimed", "list", "printer")[1]
    assert bus("unclaimed", "redrive", "printer")[0] == 0
    assert broker.wait_message("printer").properties.message_id == event.id
    assert broker.depth(UNCLAIMED) == 1


def test_unclaimed_is_dropped_by_department(broker: Broker, bus: Bus, tmp_path: Path) -> None:
    broker.declare_shared()
    for name in ("printer", "loyalty"):
        broker.publish_body(b"{}", name, exchange="departments")
    assert bus("unclaimed", "drop", "loyalty", "--yes", "--file", str(tmp_path / "dropped"))[0] == 0
    assert [m.routing_key for m in broker.peek(UNCLAIMED)] == ["printer"]


def test_drop_keeps_a_readable_copy_of_names_that_are_not_utf8(broker: Broker, bus: Bus, tmp_path: Path) -> None:
    broker.declare_shared()
    headers = {"theirs": b"\xff", b"\xfe": {"deep": [b"\xfd"]}}
    broker.publish_body(b"{}", b"loyalty\xff", exchange="departments", headers=headers, message_id=b"\xfc")  # type: ignore[arg-type]
    assert bus("unclaimed", "list")[0] == 0
    code, _out, err = bus("unclaimed", "drop", "--yes", "--file", str(tmp_path / "dropped"))
    assert (code, err) == (0, "")
    written = json.loads((tmp_path / "dropped").read_text())
    assert written["department"] == {"base64": base64.b64encode(b"loyalty\xff").decode()}
    assert written["properties"]["message_id"] == {"base64": "/A=="}
    assert written["headers"]["theirs"] == {"base64": "/w=="}
    assert written["headers"]["base64:/g=="] == {"deep": [{"base64": "/Q=="}]}
    assert broker.depth(UNCLAIMED) == 0


def test_show_of_header_names_that_are_not_utf8_is_no_crash(printer: Broker, bus: Bus) -> None:
    printer.publish_body(b"{}", "printer", exchange="dead", headers={b"\xfe": {b"\xff": 1}})
    code, out, _err = bus("dead", "show", "printer")
    assert (code, 'header base64:/g== {"base64:/w==": 1}' in out) == (0, True)


def test_drop_whose_folder_cannot_be_synced_drops_nothing_and_leaves_no_file(
    printer: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    park(printer)
    synced, fsync = [], os.fsync

    def broken_for_folders(descriptor: int) -> None:
        synced.append(stat.S_IFMT(os.fstat(descriptor).st_mode))
        if synced[-1] == stat.S_IFDIR:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", broken_for_folders)
    code, _out, err = bus("dead", "drop", "printer", "--yes", "--file", str(tmp_path / "dropped"))
    assert (code, "nothing was dropped: Input/output error" in err) == (1, True)
    assert synced == [stat.S_IFREG, stat.S_IFDIR]
    assert (printer.depth("printer.dead"), list(tmp_path.iterdir())) == (1, [])
