"""The commands of `sap-sandbox` that talk to a running sandbox. Each returns the lines to print."""

import argparse
from typing import Any

from eventbus.operator.output import plural, table

from sap_sandbox.admin_client import AdminClient, RefusedError
from sap_sandbox.faults.kinds import KINDS

ORDERS_SHOWN = 20
ITEMS_SHOWN_CHARACTERS = 60
_RULE_FIELDS = (
    "fault", "call", "reference", "count", "probability", "seconds", "every_s", "status", "after_commit",
    "body_as", "retry_after", "retry_after_as",
)  # fmt: skip


def stats(client: AdminClient, _options: argparse.Namespace) -> list[str]:
    """Every counter, then the references with more than one sales order."""
    found = client.stats()
    references: dict[str, int] = found.pop("references")
    answers = found.pop("answers")
    lines = table(("counter", "value"), [(name.replace("_", " "), value) for name, value in found.items()])
    if answers:
        lines += ["", *table(("answer to a create", "times"), answers.items())]
    doubles = [(reference, count) for reference, count in references.items() if count > 1]
    lines += ["", *table(("reference booked more than once", "sales orders"), doubles)] if doubles else []
    return [*lines, "", f"{plural(len(references), 'reference')}, {plural(len(doubles), 'duplicate')}"]


def faults_show(client: AdminClient, _options: argparse.Namespace) -> list[str]:
    """One line for each rule."""
    rules = client.faults()
    shown = [
        (rule["id"], rule["fault"], rule.get("call", "-"), _figures(rule), rule["fired"], _left(rule["left"]))
        for rule in rules
    ]
    return table(("id", "fault", "call", "rule", "fired", "left"), shown) or ["no rules: no call fails"]


def faults_kinds(_client: AdminClient, _options: argparse.Namespace) -> list[str]:
    """One line for each fault that there is."""
    rows = []
    for kind in KINDS.values():
        fields = [*sorted(kind.needs), *(f"[{name}]" for name in sorted(kind.takes))]
        rows.append((kind.name, ", ".join(kind.calls), " ".join(fields) or "-", kind.does))
    return table(("fault", "calls", "fields", "what happens"), rows)


def faults_add(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """Add the rule that the options state."""
    given = {name: getattr(options, name) for name in _RULE_FIELDS}
    rule = client.add_fault({name: value for name, value in given.items() if value is not None})
    on_call = f" on {rule['call']}" if "call" in rule else ""
    return [f"rule {rule['id']}: {rule['fault']}{on_call}, {_figures(rule)}"]


def faults_clear(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """Take all rules out, or those that are named."""
    for rule_id in options.id:
        client.remove_fault(rule_id)
    count = len(options.id) or client.clear_faults()
    return [f"{plural(count, 'rule')} removed" if count else "no rules: nothing to do"]


def expire_sessions(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """End all sessions now, or by the clock."""
    done = client.expire_sessions(options.every)
    if options.every is None:
        return [f"{plural(done['expired'], 'session')} ended"]
    return [f"rule {done['id']}: all sessions end every {done['every_s']:g} s"]


def orders(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """One line for each sales order."""
    found = client.orders(options.reference, options.limit)
    rows = [
        (
            order["SalesOrder"],
            order["PurchaseOrderByCustomer"],
            order["SoldToParty"],
            _short(", ".join(f"{item['RequestedQuantity']} x {item['Material']}" for item in order["to_Item"])),
            f"{order['TotalNetAmount']} {order['TransactionCurrency']}",
            order["LastChangeDateTime"],
        )
        for order in found["orders"]
    ]
    lines = table(("number", "reference", "customer", "items", "net", "changed"), rows)
    if found["total"] > len(rows):
        lines.append(f"the newest {len(rows)} of {found['total']}; --limit shows more")
    return lines or ["no sales orders"]


def orders_remove(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """Delete one."""
    client.remove_order(options.number)
    return [f"sales order {options.number} removed"]


def orders_double(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """Copy one."""
    return [f"sales order {options.number} copied: {client.double_order(options.number)}"]


def orders_change(client: AdminClient, options: argparse.Namespace) -> list[str]:
    """Change one."""
    given = {"quantity": options.quantity, "material": options.material, "reference": options.new_reference}
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise RefusedError("nothing to change: give --quantity, --material or --reference")
    client.change_order(options.number, **changes, **({"item": options.item} if options.item else {}))
    return [f"sales order {options.number}: {', '.join(f'{name} is {value}' for name, value in changes.items())}"]


def _figures(rule: dict[str, Any]) -> str:
    """Everything of a rule beside fault and call."""
    hidden = {"id", "fault", "call", "fired", "left"}
    return ", ".join(f"{name} {value}" for name, value in rule.items() if name not in hidden) or "each time"


def _left(left: int | None) -> str:
    return "no end" if left is None else str(left)


def _short(text: str) -> str:
    return text if len(text) <= ITEMS_SHOWN_CHARACTERS else f"{text[: ITEMS_SHOWN_CHARACTERS - 1]}…"
