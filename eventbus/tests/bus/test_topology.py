"""`bus topology`, `bus departments` and `bus leave` on a real broker."""

import contextlib
from collections.abc import Callable

import pika
import pytest
from eventbus.contract.routing import TRACKER_PATTERNS
from eventbus.operator import announcements, cli
from eventbus.operator.connection import connected, parameters
from eventbus.operator.parked import held
from eventbus.testing import an_announcement, an_event
from eventbus.testing.broker import Broker
from eventbus.topology import department

Bus = Callable[..., tuple[int, str, str]]
OLDEST_COUNT_S = 7.0
"""The tests' node collects every second what queues report every five."""
NOWHERE = ("--amqp-url", "amqp://guest:secret@127.0.0.1:9/", "--management-url", "http://guest:secret@127.0.0.1:9")


@pytest.fixture
def printer(broker: Broker) -> Broker:
    broker.declare_shared()
    broker.declare(department("printer", ("order.created.*",)))
    return broker


def announce(broker: Broker, *patterns: str, name: str = "printer") -> None:
    event = an_announcement(department=name, patterns=patterns, version="1.2.3")
    broker.publish(event, f"department.joined.{name}")
    broker.wait_for(lambda: name in announcements.read(broker.amqp_url).latest)


def test_declare_makes_everything_then_has_nothing_to_do(broker: Broker, bus: Bus) -> None:
    code, out, _err = bus("topology", "declare")
    assert (code, out.splitlines()[-1]) == (0, "26 objects declared")
    assert bus("topology", "declare") == (0, "nothing to declare: all stands as wanted\n", "")
    assert bus("topology", "check")[0] == 0


def test_declare_of_another_life_of_a_tier_is_one_line(broker: Broker, bus: Bus) -> None:
    bus("topology", "declare")
    code, _out, err = bus("topology", "declare", "--tier-seconds", "5,0.4,0.6,0.8,1")
    assert (code, err) == (1, "bus: queue retry.1s: x-message-ttl: have 200, want 5000\n")


def test_check_names_every_difference(broker: Broker, bus: Bus) -> None:
    bus("topology", "declare")
    with broker.channel() as channel:
        channel.queue_delete("retry.1h")
        channel.exchange_delete("dead")
        channel.exchange_declare("dead", "direct", durable=True)
        channel.queue_declare("odd", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind("odd", "events", "order.#")
        channel.exchange_bind("dead", "departments", "printer")
    code, out, _err = bus("topology", "check")
    assert code == 1
    assert out.splitlines() == [
        "exchange dead: type: have direct, want topic",
        "queue retry.1h: missing",
        "binding odd: nobody claims 'order.#' on events",
        "binding dead (exchange): nobody claims 'printer' on departments",
        "4 differences",
    ]


def test_check_finds_what_is_wrong_with_a_department(printer: Broker, bus: Bus) -> None:
    with printer.channel() as channel:
        channel.queue_delete("printer.dead")
        channel.queue_declare("printer.dead", durable=True, arguments={"x-queue-type": "quorum"})
    assert bus("topology", "check")[1].splitlines() == [
        "queue printer.dead: x-delivery-limit: have none, want 1000000",
        "binding printer.dead: missing: 'printer' on dead",
        "2 differences",
    ]


def test_check_lists_a_pattern_that_its_department_gave_up(printer: Broker, bus: Bus) -> None:
    announce(printer, "order.created.north")
    with printer.channel() as channel:
        channel.queue_bind("printer", "events", "order.created.north")
    code, out, _err = bus("topology", "check")
    assert (code, out.splitlines()[0]) == (1, "binding printer: nobody claims 'order.created.*' on events")


def test_unbind_takes_a_pattern_that_nobody_claims_and_no_other(printer: Broker, bus: Bus) -> None:
    announce(printer, "order.created.south")
    assert "nobody claims 'order.created.*'" in bus("topology", "check")[1]
    code, out, _err = bus("topology", "unbind", "printer", "order.created.*")
    assert (code, out) == (0, "unbound    order.created.* on events\n")
    assert printer.bindings("printer") == {("departments", "printer")}
    with printer.channel() as channel:
        channel.queue_bind("printer", "events", "order.created.south")
    code, _out, err = bus("topology", "unbind", "printer", "order.created.south")
    assert (code, "it binds it again at its next start" in err) == (1, True)
    assert ("events", "order.created.south") in printer.bindings("printer")
    assert bus("topology", "unbind", "printer", "order.created.east")[0] == 1


def test_pattern_that_is_not_the_trackers_is_stray_at_its_queue(printer: Broker, bus: Bus) -> None:
    printer.declare(department("orders", TRACKER_PATTERNS))
    assert "nobody claims" not in bus("topology", "check")[1]
    with printer.channel() as channel:
        channel.queue_bind("orders", "events", "order.created.north")
    assert "binding orders: nobody claims 'order.created.north' on events" in bus("topology", "check")[1].splitlines()


def test_departments_shows_who_is_there_and_what_waits(printer: Broker, bus: Bus) -> None:
    announce(printer, "order.created.*")
    printer.publish(an_event(region="north"), "order.created.north")
    printer.publish_body(b"{}", "printer", exchange="dead")
    code, out, _err = bus("departments")
    assert code == 0
    head, line = out.splitlines()[:2]
    assert head.split()[:5] == ["department", "ready", "unacked", "consumers", "parked"]
    words = line.split()
    assert [words[0], words[1], *words[3:]] == [
        *("printer", "1", "0", "1", "2026-11-24T07:19:46Z", "1.2.3", "order.created.*")
    ]
    assert {"retry.1s", "retry.1h", "archive.feed", "unclaimed"} <= set(out.split())
    assert (printer.depth("printer"), printer.depth("printer.dead")) == (1, 1)


def test_departments_that_never_announced_itself_is_listed(printer: Broker, bus: Bus) -> None:
    assert "never" in bus("departments")[1].splitlines()[1]


def test_departments_finds_an_announcement_behind_many_events(printer: Broker, bus: Bus) -> None:
    announce(printer, "order.created.*")
    with printer.channel() as channel:
        for _ in range(1500):
            channel.basic_publish("events", "order.created.nowhere", b"{}")
    printer.wait_for(lambda: printer.depth("archive.feed") == 0)
    code, out, err = bus("departments")
    assert (code, err) == (0, "")
    assert "2026-11-24T07:19:46Z" in out
    assert "never" not in bus("departments", "--archive-events", "100")[1]


def test_departments_takes_and_counts_no_delivery(printer: Broker, bus: Bus) -> None:
    printer.publish_body(b"{}", "printer", exchange="dead")
    bus("departments")
    (message,) = printer.peek("printer.dead")
    assert not message.headers.get("x-delivery-count")


def test_empty_broker_has_no_department(broker: Broker, bus: Bus) -> None:
    code, out, _err = bus("departments")
    assert (code, out.splitlines()[0]) == (0, "no department has a queue")


def test_leave_unbinds_announces_and_keeps_what_waits(printer: Broker, bus: Bus) -> None:
    tap = printer.tap("department.left.*")
    printer.publish(an_event(region="north"), "order.created.north")
    code, out, _err = bus("leave", "printer")
    assert code == 0
    assert out.splitlines()[:2] == ["unbound    order.created.* on events", "announced  department.left.printer"]
    assert printer.bindings("printer") == {("departments", "printer")}
    assert printer.wait_message(tap).routing_key == "department.left.printer"
    assert printer.depth("printer") == 1


def test_leave_deletes_queues_only_when_nothing_waits(
    printer: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventbus.operator.leave.STATISTICS_AGE_S", OLDEST_COUNT_S)
    left = printer.tap("department.left.*")
    printer.publish_body(b"{}", "printer", exchange="dead")
    code, _out, err = bus("leave", "printer", "--delete-queues")
    assert (code, "printer.dead has 1 message(s)" in err) == (1, True)
    assert printer.has_queue("printer")
    assert printer.get(left) is None
    assert printer.get("printer.dead")
    assert bus("leave", "printer", "--delete-queues")[0] == 0
    assert not printer.has_queue("printer")
    assert not printer.has_queue("printer.dead")


@pytest.mark.parametrize(("queue", "said"), [("printer", "consumer(s)"), ("printer.dead", "holders of messages")])
def test_leave_deletes_nothing_while_a_paused_process_holds_a_message(
    printer: Broker, bus: Bus, queue: str, said: str
) -> None:
    printer.publish_body(b"{}", "printer", exchange="departments" if queue == "printer" else "dead")
    printer.wait_for(lambda: printer.depth(queue) == 1)
    with printer.channel() as channel:
        got: list[bytes] = []
        tag = channel.basic_consume(queue, lambda *message: got.append(message[3]))
        printer.wait_for(lambda: channel.connection.process_data_events(0.1) or got)
        channel.basic_cancel(tag)
        assert printer.depth(queue) == 0
        code, _out, err = bus("leave", "printer", "--delete-queues", "--force")
    assert code == 1
    assert said in err
    assert printer.wait_message(queue).body == b"{}"
    assert printer.has_queue("printer")
    assert printer.has_queue("printer.dead")


def test_leave_waits_for_statistics_that_tell_of_a_held_message(
    broker: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventbus.operator.leave.STATISTICS_AGE_S", OLDEST_COUNT_S)
    broker.declare_shared()
    with broker.channel() as channel:
        channel.queue_declare("printer.dead", durable=True, arguments={"x-queue-type": "classic"})
        channel.basic_publish("", "printer.dead", b"{}")
        channel.basic_get("printer.dead")  # a classic queue counts no consumer for it
        code, _out, err = bus("leave", "printer", "--delete-queues")
    assert (code, err) == (1, "bus: queue printer.dead has 1 message(s) that some process holds: stop that first\n")
    assert broker.wait_message("printer.dead").body == b"{}"


def test_leave_deletes_nothing_while_another_command_has_the_messages(
    printer: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventbus.operator.parked.LOCK_WAIT_S", 0.1)
    for _ in range(5):
        printer.publish_body(b"{}", "printer", exchange="dead")
    with connected(printer.amqp_url) as link, held(link, printer.management, "printer.dead") as hold:
        assert len(hold.messages) == 5
        code, _out, err = bus("leave", "printer", "--delete-queues")
        assert (code, err) == (1, "bus: another bus command works on printer.dead: try again when it is done\n")
    assert printer.depth("printer.dead") == 5
    assert printer.bindings("printer") == {("departments", "printer"), ("events", "order.created.*")}


def test_leave_of_a_department_that_is_connected_but_paused_needs_force(printer: Broker, bus: Bus) -> None:
    paused = parameters(printer.amqp_url)
    paused.client_properties = {"connection_name": "printer consume"}
    with contextlib.closing(pika.BlockingConnection(paused)):
        printer.wait_for(
            lambda: (
                "printer consume"
                in [c.get("client_properties", {}).get("connection_name") for c in printer.management.connections()]
            )
        )
        assert bus("departments")[1].splitlines()[1].split()[3] == "paused"
        code, _out, err = bus("leave", "printer")
        assert (code, err) == (
            1,
            "bus: printer still has 1 open connection(s): stop its processes first, or use --force\n",
        )
        assert ("events", "order.created.*") in printer.bindings("printer")
        code, out, _err = bus("leave", "printer", "--force")
    assert (code, out.splitlines()[0]) == (
        0,
        "WARNING    printer still has 1 open connection(s): a process that runs may fail or come back",
    )
    assert printer.bindings("printer") == {("departments", "printer")}


def test_leave_of_a_department_that_still_consumes_is_refused(printer: Broker, bus: Bus) -> None:
    with printer.channel() as channel:
        channel.basic_consume("printer", lambda *_: None)
        code, _out, err = bus("leave", "printer")
    assert (code, err) == (1, "bus: printer still has 1 consumer(s): stop its processes first\n")
    assert ("events", "order.created.*") in printer.bindings("printer")


def test_leave_of_a_department_that_nobody_knows_announces_nothing(printer: Broker, bus: Bus) -> None:
    left = printer.tap("department.left.*")
    code, _out, err = bus("leave", "painter")
    assert (code, err) == (
        1,
        "bus: there is no queue of 'painter': bus departments lists them; --force announces it all the same\n",
    )
    assert printer.get(left) is None
    assert bus("leave", "painter", "--force")[0] == 0
    assert printer.get(left)


def test_leave_dry_run_changes_nothing(printer: Broker, bus: Bus) -> None:
    before = printer.bindings("printer")
    code, out, _err = bus("leave", "printer", "--dry-run", "--delete-queues")
    assert (code, out.splitlines()[0]) == (0, "dry run, nothing is changed:")
    assert printer.bindings("printer") == before


@pytest.mark.parametrize("command", [("departments",), ("dead", "list"), ("topology", "declare"), ("leave", "printer")])
def test_nobody_answers_is_one_line_without_a_password(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, *NOWHERE])
    err = capsys.readouterr().err
    assert ended.value.code == 69
    assert err.count("\n") == 1
    assert "secret" not in err


def test_show_asks_no_broker(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["topology", "show"])
    assert ended.value.code == 0
    assert "message-ttl=3600000" in capsys.readouterr().out
