"""For tests of a client: a sandbox of one's own in a thread, on a free port of this machine."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from eventbus.settings import config_path, load

from sap_sandbox.app import create_app
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
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings), log_config=None, access_log=False, lifespan="on", server_header=False)
    )
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
