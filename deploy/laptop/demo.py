"""`make demo`: an instance of its own, sample orders, and what became of each of them."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import requests
from environment import callers_environment
from launch import Launch, sole
from progress import StepError, say

DONE_TIMEOUT_S = 90
SAMPLES: tuple[dict[str, Any], ...] = (
    {"customer_name": "Daníel", "products_ids": [2, 4, 42]},
    {"customer_name": "Ольга Щербакова", "product_ids": [7, 7, 7, 1001], "region": "north"},
    {"customer_name": "王小明 / فاطمة الزهراء", "product_ids": [13], "region": "south"},
)


def demonstrate(root: Path) -> int:
    """Places the samples and waits until all are done.

    Raises:
        StepError: something did not start, an order was refused, or is not done in time; with the reason.
    """
    _refuse_shared_broker(root / "var" / "run")
    folder, results = root / "var" / f"demo-{os.getpid()}", root / "var" / "demo"
    try:
        with sole(folder):
            say("Starting (in a folder of its own, beside what may run already)")
            started = time.monotonic()
            with Launch(root, folder, keeps=False) as launch:
                say(f"  all ready after {time.monotonic() - started:.1f} s\n")
                numbers = [_place(launch.variables["GATEWAY_URL"], sample) for sample in SAMPLES]
                orders = _wait_until_done(launch, numbers)
                _keep_slips(launch.variables, results)
                _show(orders, launch.variables, results)
        say("Stopped")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _refuse_shared_broker(other: Path) -> None:
    """Two instances on one broker would take each other's orders from the queues."""
    amqp_url, env = callers_environment().get("AMQP_URL"), other / "env"
    if amqp_url and env.exists() and f"AMQP_URL='{amqp_url}'" in env.read_text(encoding="utf-8"):
        try:
            with sole(other):
                return
        except StepError as error:
            raise StepError("make run uses the same AMQP_URL: stop it first, or unset AMQP_URL") from error


def _place(gateway: str, order: dict[str, Any]) -> str:
    answer = _session().post(f"{gateway}/orders", json=order, timeout=10)
    if answer.status_code != 201:
        raise StepError(f"POST /orders: expected 201, got {answer.status_code}: {answer.text[:500]}")
    number: str = answer.json()["order_number"]
    say(f"Placed {number}: {order['customer_name']}")
    return number


def _wait_until_done(launch: Launch, numbers: list[str]) -> list[dict[str, Any]]:
    started = time.monotonic()
    http = _session()
    while True:
        launch.wait_a_moment()
        url = launch.variables["GATEWAY_URL"]
        orders: list[dict[str, Any]] = [http.get(f"{url}/orders/{number}", timeout=10).json() for number in numbers]
        if all(order["status"] == "done" for order in orders):
            say(f"All done {time.monotonic() - started:.1f} s later\n")
            return orders
        if time.monotonic() - started > DONE_TIMEOUT_S:
            late = [_reason(order) for order in orders if order["status"] != "done"]
            raise StepError("\n".join([f"Not done after {DONE_TIMEOUT_S} s:", *late]))


def _reason(order: dict[str, Any]) -> str:
    open_ones = [
        f"{name} {result['state']}{': ' + result['detail'] if result.get('detail') else ''}"
        for name, result in order["departments"].items()
        if result["state"] != "done"
    ]
    return f"  {order['order_number']} is {order['status']} ({'; '.join(open_ones) or 'no department has reported'})"


def _show(orders: list[dict[str, Any]], variables: dict[str, str], results: Path) -> None:
    departments = sorted({name for order in orders for name in order["departments"]})
    rows = [["ORDER", "STATUS", *(name.upper() for name in departments), "SLIP"]]
    for order in orders:
        slip = results / f"{order['order_number']}.pdf"
        cells = [_cell(order["departments"].get(name)) for name in departments]
        rows.append([order["order_number"], order["status"], *cells, os.path.relpath(slip) if slip.exists() else "-"])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if marketing := variables.get("MARKETING_URL"):
        say(f"\n  Orders counted: {_session().get(f'{marketing}/stats', timeout=10).json()['orders']}")
    say()


def _cell(result: dict[str, Any] | None) -> str:
    """What a department says about the order: its reference (sales order, print job), else what it did."""
    return (result.get("reference") or result.get("detail") or result["state"]) if result else "-"


def _keep_slips(variables: dict[str, str], results: Path) -> None:
    """The slips are there to be looked at when everything else has been cleaned up: those of the last demo."""
    slips = Path(variables.get("SLIPS_DIR", ""))
    if not (variables.get("SLIPS_DIR") and slips.is_dir()):
        return
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    for slip in slips.glob("*.pdf"):
        shutil.copy(slip, results)


def _session() -> requests.Session:
    http = requests.Session()
    http.trust_env = False  # no proxy between us and loopback
    return http
