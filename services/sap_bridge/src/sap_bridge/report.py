"""A comparison for people, one line for each finding and a summary last, or as JSON."""

from collections import Counter
from dataclasses import asdict
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sap_bridge.reconciliation import Comparison, Kind


def as_text(comparison: Comparison, first: date, last: date, zone: ZoneInfo) -> list[str]:
    """Aligned lines: kind, order number, SAP's numbers, what is wrong."""
    rows = [
        (finding.kind.value, finding.order_number, ", ".join(finding.sales_orders) or "-", finding.detail)
        for finding in comparison.findings
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "  ".join((*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3])) for row in rows
    ]
    return [*lines, _summary(comparison, first, last, zone)]


def _summary(comparison: Comparison, first: date, last: date, zone: ZoneInfo) -> str:
    counts = Counter(finding.kind for finding in comparison.findings)
    told = ", ".join(f"{counts[kind]} {kind.value}" for kind in Kind if counts[kind]) or "nothing to tell"
    days = f"{first} to {last} ({zone.key})"
    return f"Orders of {days}: {comparison.orders}, sales orders in SAP: {comparison.sales_orders}; {told}"


def as_json(comparison: Comparison, first: date, last: date, zone: ZoneInfo) -> dict[str, Any]:
    """One document; `findings` as in the text."""
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "timezone": zone.key,
        "orders": comparison.orders,
        "sales_orders": comparison.sales_orders,
        "wrong": comparison.wrong,
        "findings": [asdict(finding) for finding in comparison.findings],
    }
