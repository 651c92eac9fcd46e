"""The collector as its operator runs it: a process, a broker, a receiver that fails."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventbus.testing import wait_until
from eventbus.testing.broker import Broker
from eventbus.testing.builders import an_event
from eventbus.testing.department_process import DepartmentProcess, Reports
from eventbus.testing.ports import free_port

Start = Callable[..., DepartmentProcess]
NAME = "marketing_collector"
SECRETS = {"token": "s3cret-token", "signing_secret": f"whsec_{base64.b64encode(b's3cret' * 4).decode()}"}


def test_order_is_delivered_tried_again_parked_or_held_as_the_receiver_answers(
    start_collector: Start, broker: Broker, secure_receiver: Any, certificate: Path
) -> None:
    receiver, reports = secure_receiver, Reports(broker)
    settings = {"customer_key": "k" * 32, "ca_file": str(certificate), **SECRETS}
    collector = start_collector(receiver.url, **settings).wait_ready()

    def publish() -> Any:
        event = an_event(customer_name="Daníel Unverwechselbar", region="north")
        broker.publish(event, "order.created.north")
        return event

    def states(event: Any, *expected: str) -> None:
        wait_until(lambda: reports.of(event.subject) == list(expected), 30, f"reported {expected}")

    delivered = publish()
    states(delivered, "done")
    assert reports.last(delivered.subject).detail == "forwarded"

    reply = type(receiver.script[0])
    receiver.script = [reply(503), reply(None), reply(429, {"Retry-After": "1"}), reply(202)]
    states(tried_again := publish(), "waiting", "done")
    assert [request.json["id"] for request in receiver.requests].count(tried_again.id) == 4

    receiver.script = [reply(422), reply(200)]
    states(publish(), "attention")
    assert "answered 422" in broker.wait_message(f"{NAME}.dead").headers["bus-reason"]

    receiver.script = [reply(401)]
    held = publish()
    wait_until(lambda: collector.entries("paused"), 30, "paused")
    assert "COLLECTOR_TOKEN" in collector.entries("paused")[-1]["reason"]
    assert "COLLECTOR_TOKEN" in collector.condition()["paused_by"]
    receiver.script = [reply(200)]
    states(held, "done")

    assert collector.stop() == 0
    assert broker.depth(f"{NAME}.dead") == 0, "what was held is not parked"
    for secret in ("Unverwechselbar", "s3cret", SECRETS["signing_secret"]):
        assert secret not in collector.output()


def test_counting_goes_on_while_the_collectors_receiver_is_down(
    start_collector: Start, start_marketing: Start, broker: Broker
) -> None:
    reports = Reports(broker)
    collector = start_collector(f"http://127.0.0.1:{free_port()}/orders")
    marketing = start_marketing().wait_ready()
    collector.wait_ready()

    events = [an_event() for _ in range(20)]
    for event in events:
        broker.publish(event, "order.created.north")

    def reported(department: str, state: str) -> int:
        for event in events:
            reports.of(event.subject)
        return sum((e.data.department, e.data.state) == (department, state) for e in reports.heard)

    wait_until(lambda: reported("marketing", "done") == 20, 30, "all are counted")
    wait_until(lambda: reported(NAME, "waiting") > 0, 30, "the collector waits")
    assert reported(NAME, "done") == 0
    assert marketing.condition()["breaker"] == "closed"
