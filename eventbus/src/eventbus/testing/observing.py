"""What anybody can see of a process from outside: its HTTP server, and its log."""

import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_S = 5


def http_get(url: str) -> tuple[int, str]:
    """Status and body of the answer; (0, "") when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - http, and ours
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def log_entries(output: str, event: str) -> list[dict[str, Any]]:
    """The entries of that event in a log of JSON lines. Other lines are passed over."""
    parsed = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [entry for entry in parsed if entry.get("event") == event]
