"""A client of the administration of a running sandbox, for the command line and for tests."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests

TIMEOUT_S = 30.0
SIGN = "sap-sandbox"
"""Header of every answer of the administration: other servers speak JSON, too."""
Document = dict[str, Any]


class AdminError(Exception):
    """The sandbox did not do what it was asked. The text is one line."""


class UnreachableError(AdminError):
    """Nobody answers there, or somebody else."""


class RefusedError(AdminError):
    """The request is wrong, or what it names does not exist."""


class AdminClient:
    """Talks to the sandbox at that origin (scheme, host and port)."""

    def __init__(self, origin: str) -> None:
        self._prefix = f"{origin.rstrip('/')}/_sim"

    def stats(self) -> Document:
        """The counters."""
        return self._call("GET", "/stats")

    def faults(self) -> list[Document]:
        """The rules of the fault plan, each with `id`, `fired` and `left`."""
        rules: list[Document] = self._call("GET", "/faults")["rules"]
        return rules

    def add_fault(self, rule: Document) -> Document:
        """The rule as it was added."""
        return self._call("POST", "/faults", rule)

    def clear_faults(self) -> int:
        """Take all rules out. Returns how many there were."""
        return int(self._call("DELETE", "/faults")["removed"])

    def remove_fault(self, rule_id: int) -> None:
        """Take that rule out."""
        self._call("DELETE", f"/faults/{rule_id}")

    def expire_sessions(self, every_s: float | None = None) -> Document:
        """End all sessions, now or by the clock; the latter is a rule of the fault plan."""
        return self._call("POST", "/sessions/expire", None if every_s is None else {"every_s": every_s})

    def orders(self, reference: str | None = None, limit: int = 1000) -> Document:
        """`orders`, the newest `limit` of that reference (`*`: any characters), oldest first; `total`, all of it."""
        return self._call("GET", "/orders", limit=limit, reference=reference)

    def remove_order(self, number: str) -> None:
        """Delete that sales order, as a person would in SAP."""
        self._call("DELETE", f"/orders/{quote(number, safe='')}")

    def double_order(self, number: str) -> str:
        """Copy that sales order, reference included. Returns the copy's number."""
        return str(self._call("POST", f"/orders/{quote(number, safe='')}/double")["SalesOrder"])

    def change_order(self, number: str, **changes: str) -> None:
        """Change `quantity`, `material` or `reference`; `item` says of which item, without it is the first."""
        self._call("PATCH", f"/orders/{quote(number, safe='')}", changes)

    def _call(self, method: str, path: str, document: Document | None = None, **query: Any) -> Document:
        url = self._prefix + path
        try:
            with requests.Session() as session:
                session.trust_env = False  # a proxy of the environment is not meant for this machine
                answer = session.request(method, url, json=document, params=query, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise UnreachableError(f"no SAP sandbox answers at {url}: {type(error).__name__}") from error
        if SIGN not in answer.headers:
            raise UnreachableError(
                f"{url} is no SAP sandbox: it answered {answer.status_code} without the header {SIGN}"
            )
        content: Document = answer.json()
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(str(content.get("detail", f"{url} answered {answer.status_code}")))
        return content
