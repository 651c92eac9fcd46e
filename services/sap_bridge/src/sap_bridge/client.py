"""The dialogue with API_SALES_ORDER_SRV: log in, book, look up. Says what an answer means; decides nothing."""

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from eventbus.logs import get_logger

from sap_bridge import metrics
from sap_bridge.errors import CREATE_RULES, LOGIN_RULES, LOOK_UP_RULES, Rule, Signal, Verdict, decide, warnings
from sap_bridge.login import Login, Logins, cookie_header
from sap_bridge.mapping import SalesOrder
from sap_bridge.pace import Pause
from sap_bridge.redaction import one_line
from sap_bridge.settings import SapSettings
from sap_bridge.transport import Transport

LOGINS_MAX = 3
"""Of one attempt. With two, 2 of 400 orders failed while sessions were killed every 0.6 s; with three none."""
HITS_MAX = 10

log = get_logger(__name__)


class Call(StrEnum):
    """What SAP is called for."""

    LOGIN = "login"
    CREATE = "create"
    LOOK_UP = "look_up"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Answer:
    """What SAP's answer means."""

    verdict: Verdict
    reason: str
    """SAP may quote what was sent, at any length: `redacted` before it is logged or kept."""
    status: int | None = None
    call: Call | None = None
    """Which call was answered; None: none was made."""
    number: str | None = None
    """The sales order, of BOOKED."""
    retry_after_s: float | None = None
    """For which everybody is held back."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """The sales orders that bear a reference, lowest number first; none is an answer, too."""

    numbers: tuple[str, ...]


class SapClient:
    """Books and finds sales orders. One of a process; any number of threads or greenlets may share it."""

    def __init__(self, settings: SapSettings, transport: Transport | None = None) -> None:
        self._settings = settings
        self._transport = transport or Transport(settings)
        self._pause = Pause()
        self._logins: Logins[Answer] = Logins(
            self._fetch_login, lambda: Answer(Verdict.RETRY, "not sent: no login in time")
        )

    def create(self, order: SalesOrder, deadline: float, before_sending: Callable[[], None] = lambda: None) -> Answer:
        """Book the sales order, with new logins where SAP wants them.

        Args:
            order: the document.
            deadline: of `time.monotonic()`.
            before_sending: called directly before each request leaves. What it raises ends the call.
        """
        body = json.dumps(order.document, ensure_ascii=False).encode()

        def post(login: Login) -> tuple[Answer, Signal]:
            headers = {
                "X-CSRF-Token": login.token,
                "Content-Type": "application/json",
                "DataServiceVersion": "2.0",
                "MaxDataServiceVersion": "2.0",
            }
            return self._call(
                Call.CREATE,
                CREATE_RULES,
                deadline,
                path="/A_SalesOrder",
                headers=headers | _cookie(login),
                body=body,
                timeout_s=self._settings.read_timeout_s,
                before_sending=before_sending,
            )[:2]

        answer, signal = self._logged_in(post, deadline)
        if answer.verdict is not Verdict.BOOKED:
            return answer
        return replace(answer, number=signal.number(), warnings=warnings(signal.headers))

    def find(self, reference: str, sold_to: str, organization: str, deadline: float) -> Found | Answer:
        """The sales orders with that customer reference, compared exactly; an Answer when SAP could not tell."""
        query = {
            "$filter": f"PurchaseOrderByCustomer eq {literal(reference)} and SoldToParty eq {literal(sold_to)}"
            f" and SalesOrganization eq {literal(organization)}",
            "$select": "SalesOrder,PurchaseOrderByCustomer,CreationDate,OverallSDProcessStatus",
            "$orderby": "SalesOrder",
            "$top": str(HITS_MAX),
            "$format": "json",
        }
        rows = self.read(query, deadline, Call.LOOK_UP)
        if isinstance(rows, Answer):
            return rows
        try:
            numbers = {str(row["SalesOrder"]) for row in rows if row["PurchaseOrderByCustomer"] == reference}
        except (TypeError, KeyError):
            return Answer(Verdict.RETRY, "SAP answered 200 with rows that are no sales orders", 200, Call.LOOK_UP)
        return Found(in_order(numbers))

    def read(self, query: Mapping[str, str], deadline: float, call: Call = Call.READ) -> list[dict[str, Any]] | Answer:
        """The sales orders that the query options ask for, as SAP wrote them; an Answer when SAP could not tell."""
        path = "/A_SalesOrder?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        timeout_s = self._settings.read_timeout_s if call is Call.READ else self._settings.look_up_timeout_s

        def get(login: Login) -> tuple[Answer, Signal]:
            headers = _cookie(login)
            return self._call(call, LOOK_UP_RULES, deadline, path=path, headers=headers, timeout_s=timeout_s)[:2]

        answer, signal = self._logged_in(get, deadline)
        if answer.verdict is not Verdict.OK:
            return answer
        rows: list[dict[str, Any]] = signal.data()["results"]
        return rows

    def pause_left_s(self) -> float:
        """Seconds for which SAP wants to be left alone; 0: none."""
        return self._pause.left_s()

    def away_s(self) -> float:
        """Seconds after which an order should come back because our own rate is used up; 0: begin now."""
        return self._transport.away_s()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _logged_in(self, send: Callable[[Login], tuple[Answer, Signal]], deadline: float) -> tuple[Answer, Signal]:
        login: Login | None = None
        refused_401 = 0
        answer, signal = Answer(Verdict.RETRY, "not sent"), Signal(None, sent=False)
        for _ in range(LOGINS_MAX):
            current = self._logins.other_than(login, deadline)
            if not isinstance(current, Login):
                return current, signal
            login = current
            answer, signal = send(login)
            refused_401 += signal.status == 401
            if answer.verdict is Verdict.LOGIN and refused_401 > 1:
                answer = replace(answer, verdict=Verdict.AUTH)
            if answer.verdict is Verdict.AUTH:
                self._logins.forget(login)
            if answer.verdict is not Verdict.LOGIN:
                return answer, signal
        return replace(answer, verdict=Verdict.RETRY), signal

    def _fetch_login(self, deadline: float) -> Login | Answer:
        metrics.LOGINS.inc()
        # GET and a slash at the end: some handlers refuse HEAD, some systems need the slash
        answer, signal, cookies = self._call(
            Call.LOGIN, LOGIN_RULES, deadline, path="/", headers={"X-CSRF-Token": "Fetch"}
        )
        if answer.verdict is not Verdict.OK:
            log.warning("login at SAP failed", verdict=answer.verdict.value, reason=one_line(answer.reason))
            return replace(answer, reason=f"login: {answer.reason}")
        return Login(signal.headers["x-csrf-token"], cookie_header(cookies))

    def _call(
        self,
        call: Call,
        rules: tuple[Rule, ...],
        deadline: float,
        *,
        path: str,
        headers: dict[str, str],
        body: bytes | None = None,
        timeout_s: float | None = None,
        before_sending: Callable[[], None] = lambda: None,
    ) -> tuple[Answer, Signal, list[str]]:
        started = time.monotonic()
        signal, cookies = self._transport.send(
            "GET" if body is None else "POST",
            path,
            headers=headers,
            body=body,
            timeout_s=timeout_s or self._settings.look_up_timeout_s,
            deadline=deadline,
            before_sending=before_sending,
        )
        rule = decide(signal, rules, self._settings.transient_re)
        metrics.CALL_SECONDS.labels(call.value).observe(time.monotonic() - started)
        metrics.ANSWERS.labels(call.value, rule.verdict.value, str(signal.status)).inc()
        retry_after_s = self._pause.extend(signal.retry_after_s()) if rule.pause else None
        if rule.verdict in (Verdict.BOOKED, Verdict.OK):
            self._pause.succeeded()
        answer = Answer(rule.verdict, signal.reason(), signal.status, call, retry_after_s=retry_after_s)
        return answer, signal, cookies


def _cookie(login: Login) -> dict[str, str]:
    return {"Cookie": login.cookie_header} if login.cookie_header else {}


def literal(text: str) -> str:
    """The text as OData's `$filter` writes it."""
    return "'" + text.replace("'", "''") + "'"


def in_order(numbers: Collection[str]) -> tuple[str, ...]:
    """Numbers of sales orders, lowest first."""
    return tuple(sorted(numbers, key=lambda number: (int(number) if number.isdecimal() else 0, number)))
