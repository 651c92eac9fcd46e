"""For tests of a client: a sandbox of one's own in a thread, on a free port of this machine."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventbus.settings import config_path, load

from sap_sandbox.admin_client import AdminClient, Document
from sap_sandbox.app import create_server
from sap_sandbox.service import ROOT
from sap_sandbox.settings import SandboxSettings

START_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class RunningSandbox:
    """A sandbox that answers. `origin` is its scheme, host and port."""

    origin: str
    settings: SandboxSettings

    @property
    def url(self) -> str:
        """The service's root, as `SAP_URL` takes it."""
        return self.origin + ROOT

    @property
    def stats_url(self) -> str:
        """Where the counters are: orders by reference and so on."""
        return f"{self.origin}/_sim/stats"

    @property
    def expire_url(self) -> str:
        """A POST to it ends all sessions."""
        return f"{self.origin}/_sim/sessions/expire"

    @property
    def admin(self) -> AdminClient:
        """Its administration."""
        return AdminClient(self.origin)

    def fault(self, fault: str, **rule: Any) -> int:
        """Let that fault strike: `fault("commit-then-drop", count=1, reference="WEB-*")`. Returns the rule's id."""
        return int(self.admin.add_fault({"fault": fault, **rule})["id"])

    def faults(self) -> list[Document]:
        """The rules, each with how often it `fired`."""
        return self.admin.faults()

    def fired(self, rule_id: int) -> int:
        """How often that rule struck."""
        return next(int(rule["fired"]) for rule in self.faults() if rule["id"] == rule_id)

    def clear_faults(self) -> None:
        """No call fails any more."""
        self.admin.clear_faults()

    def stats(self) -> Document:
        """The counters."""
        return self.admin.stats()

    def orders(self, reference: str | None = None) -> list[Document]:
        """The sales orders of that reference (`*`: any characters), oldest first, 1000 at most."""
        found: list[Document] = self.admin.orders(reference)["orders"]
        return found

    def remove(self, number: str) -> None:
        """Delete that sales order, as a person would in SAP."""
        self.admin.remove_order(number)

    def double(self, number: str) -> str:
        """Copy that sales order, as a person would in SAP. Returns the copy's number."""
        return self.admin.double_order(number)

    def change(self, number: str, **changes: str) -> None:
        """Change that sales order, as a person would in SAP: `change("4711", quantity="3")`."""
        self.admin.change_order(number, **changes)

    def expire_sessions(self, every_s: float | None = None) -> None:
        """End all sessions, now or each time that so many seconds have passed, until `clear_faults`."""
        self.admin.expire_sessions(every_s)


def sandbox_settings(folder: Path, **changes: Any) -> SandboxSettings:
    """The shipped settings with a database in that folder, no latency, and what is to be different."""
    settings = load(SandboxSettings, config_path("sap_sandbox", {}), {})
    quick = {
        "database_url": f"sqlite:///{folder}/sap_sandbox.db",
        "latency_median_ms": 0,
        "read_latency_median_ms": 0,
    }
    return SandboxSettings.model_validate(settings.model_dump() | quick | changes)


@contextmanager
def running_sandbox(folder: Path, **changes: Any) -> Iterator[RunningSandbox]:
    """A sandbox with `sandbox_settings`; it is drained and gone at the end of the block."""
    settings = sandbox_settings(folder, **changes)
    server = create_server(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sap sandbox", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.005)
        yield RunningSandbox(f"http://127.0.0.1:{listener.getsockname()[1]}", settings)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
