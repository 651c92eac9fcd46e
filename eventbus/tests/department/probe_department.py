"""A department for the runtime's own tests: each order's script says what its handler does, call by call."""

import json
import os
import time
from pathlib import Path
from typing import Any

import eventlet
from eventbus.contract import Event, OrderCreated
from eventbus.department import (
    Blocked,
    DepartmentSettings,
    Done,
    InHand,
    Later,
    Outcome,
    Permanent,
    Results,
    Transient,
    every,
    subscribe,
)


class ProbeSettings(DepartmentSettings):
    """Where scripts are read and calls are written."""

    folder: Path


def _act(step: list[Any]) -> Outcome:
    match step:
        case ["done", *rest]:
            return Done(*rest)
        case ["later", seconds]:
            return Later(seconds, "told to wait")
        case ["in hand", reference]:
            return InHand(reference)
        case ["transient"]:
            raise Transient("target away")
        case ["transient", retry_after]:
            raise Transient("target busy", retry_after)
        case ["blocked"]:
            raise Blocked("target refuses everybody")
        case ["permanent"]:
            raise Permanent("never")
        case ["sleep", seconds]:
            eventlet.sleep(seconds)
            return Done("slept")
        case ["hold hub", seconds]:
            eventlet.patcher.original("time").sleep(seconds)
            return Done("held")
        case ["exit"]:
            os._exit(9)
        case ["timeout"]:
            raise eventlet.Timeout(0.01)
        case ["wrong"]:
            return "done"  # type: ignore[return-value]
        case _:
            raise RuntimeError(f"bug: {step}")


class Probe:
    """Follows the script `<folder>/<order number>.json`, a list of steps, one a call; the last one repeats."""

    name = "probe"
    settings_class = ProbeSettings
    retired = ("order.retired.*",)
    results = Results()

    @subscribe("order.created.*")
    def handle(self, event: Event[OrderCreated]) -> Outcome:
        number = event.data.order_number
        folder = Path(os.environ["PROBE_FOLDER"])
        script = folder / f"{number}.json"
        steps = json.loads(script.read_text()) if script.exists() else [["done", "R1"]]
        calls = folder / f"{number}.calls"
        with calls.open("a") as file:
            file.write(f"{time.time():.3f} {event.id} {os.getpid()}\n")
        count = len(calls.read_text().splitlines())
        step = steps[min(count, len(steps)) - 1]
        if step[0] == "until file":
            step = ["done", "healed"] if (folder / step[1]).exists() else step[2]
        outcome = _act(step)
        if isinstance(outcome, InHand):
            (folder / f"{number}.follow").write_text(json.dumps([number, event.id, event.type, outcome.reference]))
        return outcome

    @every(seconds=0.2)
    def follow(self) -> None:
        folder = Path(os.environ["PROBE_FOLDER"])
        if (folder / "printer away").exists():
            raise Transient("printer away")
        for note in folder.glob("*.follow"):
            number, cause_id, cause_type, reference = json.loads(note.read_text())
            self.results.publish(
                order_number=number, cause_id=cause_id, cause_type=cause_type, state="done", reference=reference
            )
            note.unlink()


class BatchProbe:
    """Takes batches; a batch with an order whose script says so fails as a whole."""

    name = "probe"
    settings_class = ProbeSettings

    @subscribe("order.created.*", batch=10, within_s=0.2)
    def handle(self, events: list[Event[OrderCreated]]) -> None:
        folder = Path(os.environ["PROBE_FOLDER"])
        with (folder / "batches").open("a") as file:
            file.write(f"{len(events)}\n")
        for event in events:
            script = folder / f"{event.data.order_number}.json"
            if script.exists():
                _act(json.loads(script.read_text())[0])
        for event in events:
            with (folder / f"{event.data.order_number}.calls").open("a") as file:
                file.write(f"{event.id}\n")
