"""A program for the tests of the launcher: `fake_program.py <name> [<port variable>] [late | refuses | stubborn]`.

It notes in `$INSTANCE_DIR/events` when it starts, is ready and stops, and answers 200 on its port when ready.
"""

import http.server
import os
import signal
import sys
import threading
import time
from pathlib import Path

name, port, *manners = [*sys.argv[1:], "", ""]


def note(event: str) -> None:
    with Path(os.environ["INSTANCE_DIR"], "events").open("a") as file:
        file.write(f"{name} {event}\n")


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: its log is for what it prints."""


def stop(*_: object) -> None:
    note("stopped")
    sys.exit(0)


if "refuses" in manners:
    print("starting", file=sys.stderr)
    print("configuration: config.yaml: printer_uri: expected a URI, got: nonsense", file=sys.stderr)
    sys.exit(78)
signal.signal(signal.SIGTERM, stop)
note(f"started {os.getpid()}")
if "late" in manners:
    time.sleep(0.3)
if port:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ[port])), Answer)
    note("ready")
    threading.Thread(target=server.serve_forever, daemon=True).start()
while True:
    signal.pause()
